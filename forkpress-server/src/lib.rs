//! HTTP in front of PHP.
//!
//! A request comes in at the [`front`], which takes all of it, decides what answers it, and hands the answer to the client as
//! fast as that takes it. It speaks HTTP/1, and by [`tls`] HTTP/2 as well. Files are sent from here ([`files`]). All else is
//! answered by [`php`] behind Unix sockets ([`fastcgi`]), which [`fpm`] runs, or where there is none by [`workers`]. No client,
//! however slow, holds a process of PHP's or a lock: bodies and answers wait in a
//! [`spool`]. What there is to know of the requests is in [`traffic`].
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "../tests/common/mutation.rs"]
mod mutation;

pub mod answer;
pub mod cgi;
mod chunks;
mod counted;
pub mod fastcgi;
pub mod files;
pub mod fpm;
pub mod front;
pub mod php;
pub mod scheme;
pub mod spool;
pub mod tls;
pub mod traffic;
pub mod workers;
