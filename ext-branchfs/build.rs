//! Declares what of PHP's streams API `ext-php-rs` does not wrap, as the headers of the PHP at hand have it, and compiles
//! `src/shim.c`, in which the calls stand from which PHP may leave for good.
//!
//! `PHP_CONFIG` names that PHP's `php-config`, as for `ext-php-rs` itself, whose types the functions use.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const FUNCTIONS: [&str; 5] = [
    "branchfs_.*",
    "php_clear_stat_cache",
    "php_stream_parse_fopen_modes",
    "zend_ini_string_ex",
    "zend_llist_del_element",
];

const CONSTANTS: [&str; 16] = [
    "PHP_STREAM_META_ACCESS",
    "PHP_STREAM_META_GROUP",
    "PHP_STREAM_META_GROUP_NAME",
    "PHP_STREAM_META_OWNER",
    "PHP_STREAM_META_OWNER_NAME",
    "PHP_STREAM_META_TOUCH",
    "PHP_STREAM_MKDIR_RECURSIVE",
    "PHP_STREAM_URL_STAT_LINK",
    "PHP_STREAM_URL_STAT_QUIET",
    "PHP_FILE_APPEND",
    "REPORT_ERRORS",
    "STREAM_OPEN_FOR_INCLUDE",
    "STREAM_DISABLE_OPEN_BASEDIR",
    "PHP_STREAM_URL_STAT_IGNORE_OPEN_BASEDIR",
    "PHP_LOCK_EX",
    "MAXPATHLEN",
];

fn main() {
    println!("cargo:rerun-if-env-changed=PHP_CONFIG");
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rerun-if-changed=src/shim.c");
    println!("cargo:rerun-if-changed=src/shim.h");
    let php_config = env::var_os("PHP_CONFIG").unwrap_or_else(|| "php-config".into());
    let output = Command::new(&php_config)
        .arg("--includes")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", php_config.display()));
    let includes = String::from_utf8(output.stdout).expect("php-config prints text");

    let mut shim = cc::Build::new();
    for flag in includes.split_whitespace() {
        shim.flag(flag);
    }
    shim.file("src/shim.c").compile("branchfs_shim");

    let mut builder = bindgen::Builder::default()
        .header_contents(
            "branchfs.h",
            "#include \"src/shim.h\"\n#include <ext/standard/file.h>\n#include <ext/standard/flock_compat.h>\n\
             #include <ext/standard/php_filestat.h>\n",
        )
        .clang_args(includes.split_whitespace())
        .clang_arg("-I.")
        // The types are those of ext-php-rs.
        .allowlist_recursively(false)
        .allowlist_type("_?php_stream_dirent")
        .raw_line("use ext_php_rs::ffi::*;");
    for function in FUNCTIONS {
        builder = builder.allowlist_function(function);
    }
    for constant in CONSTANTS {
        builder = builder.allowlist_var(constant);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("php.rs");
    let bindings = builder.generate().unwrap_or_else(|error| panic!("cannot read PHP's headers: {error}"));
    bindings.write_to_file(out).expect("OUT_DIR can be written");
}
