//! Dumps of MySQL and MariaDB are loaded, with the real driver and PHP.

mod random;
mod real;
mod refusals;
mod server;
mod styles;
mod world;
