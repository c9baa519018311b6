//! For how long a request may run, with real php-fpm behind.

mod common;

use std::fs;
use std::time::Duration;

use common::{eventually, rest, site_with};
use forkpress_server::traffic::Cut;

#[test]
fn a_request_that_runs_for_too_long_is_ended_and_told_so_to_client_and_log_and_leaves_no_lock() {
    let endless = "<?php touch( __DIR__ . '/runs' ); if ( isset( $_GET['late'] ) ) { echo str_repeat( 'x', 100000 ), 'begun'; flush(); } \
                   while ( true ) { sleep( 60 ); }";
    let files = [("endless.php", endless), ("index.php", "<?php echo 'next';")];
    let Some(site) = site_with(1, Duration::from_secs(1), &files) else { return };
    let ask =
        |query: &str| format!("GET /endless.php{query} HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");

    let mut early = site.send(ask("").as_bytes());
    eventually("the page runs", || site.dir.join("main/runs").exists());
    let lock = fs::File::open(site.dir.join(".forkpress/cow/operations.lock")).unwrap();
    assert!(lock.try_lock().is_err(), "it has the lock");
    let said = rest(&mut early);
    assert!(said.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{said}");
    assert!(
        said.ends_with("ran for longer than 1 s and was ended: request_timeout under [serve] in site.toml\n"),
        "{said}"
    );
    eventually("the lock is free", || lock.try_lock().is_ok());
    lock.unlock().unwrap();

    let late = site.said(ask("?late").as_bytes());
    assert!(late.starts_with("HTTP/1.1 200 OK\r\n"), "its head is sent");
    assert!(!late.ends_with("0\r\n\r\n"), "it is cut short");
    let told = site.told_of("/endless.php");
    assert_eq!((told.status.unwrap().as_u16(), told.cut), (504, None));
    let told = site.told_of("/endless.php?late");
    assert_eq!((told.status.unwrap().as_u16(), told.cut), (200, Some(Cut::Time)));
    assert!(told.took >= Duration::from_secs(1), "all of the time that it ran: {:?}", told.took);
    assert_eq!(site.get("/"), "next", "another process has its place");
    let log = fs::read_to_string(site.dir.join("fpm.log")).unwrap();
    assert!(log.matches("execution timed out").count() == 2, "{log}");
}
