//! HTTP in front of PHP.
//!
//! A request comes in at the [`front`], which takes all of it, decides what answers it, and hands the answer to the client as
//! fast as that takes it. Files are sent from here ([`files`]). All else is answered by [`php`] behind a Unix socket
//! ([`fastcgi`]), which [`fpm`] runs. No client, however slow, holds a process of PHP's or a lock: bodies and answers wait in a
//! [`spool`].
#![forbid(unsafe_code)]

pub mod answer;
mod bodies;
pub mod cgi;
mod compress;
pub mod fastcgi;
pub mod files;
pub mod fpm;
pub mod front;
pub mod php;
pub mod spool;
