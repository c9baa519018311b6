/*
 * Calls into PHP from which PHP may leave for good. A fatal error, the memory limit, the time limit and a client that hung up are
 * a bailout: a longjmp over all frames up to PHP's own. Over a Rust frame it would skip what Rust has to drop.
 *
 * So each of these functions returns, whatever happens. A bailout is noted, and from then on they do nothing and return what means
 * failure, until branchfs_resume() goes on with it. By then the Rust that PHP called has returned and has dropped what it had.
 */
#ifndef BRANCHFS_SHIM_H
#define BRANCHFS_SHIM_H

#include <php.h>
#include <SAPI.h>

/* Whether a bailout was noted. */
bool branchfs_has_bailed(void);

/* Goes on with the bailout that was noted: never returns then. Else does nothing. */
void branchfs_resume(void);

/* Calls a function, and says whether it came back. */
bool branchfs_try(void (*function)(void *), void *data);

/* Calls one of PHP's own functions, as PHP called us. */
void branchfs_call(void (*function)(zend_execute_data *, zval *), zend_execute_data *call, zval *result);

/* Prints the section in phpinfo(). */
void branchfs_print_info(zend_module_entry *module, const char *version);

/* Warns, of no path, of one or of two: null stands for none. */
void branchfs_warn(const char *first, const char *second, const char *message);

/* Notes why nothing was opened, for PHP to warn of. */
void branchfs_log_error(php_stream_wrapper *wrapper, int options, const char *message);

/* Makes a plain file stream, whose the descriptor is from then on; null: it still is the caller's. */
php_stream *branchfs_file_stream(int descriptor, const char *mode, bool at_start);

/* Makes a stream of these operations; null: there is none, and the handle is the caller's. */
php_stream *branchfs_stream(const php_stream_ops *operations, void *handle, const char *mode);

/* Puts a new string in a place. */
void branchfs_set_string(zend_string **place, const char *bytes, size_t length);

/* Whether open_basedir is set. */
bool branchfs_is_confined(void);

/* Whether open_basedir allows a path. Does not warn. */
bool branchfs_is_allowed(const char *path);

/* The server's own functions for a piece of an answer and for its headers. */
size_t branchfs_write(size_t (*function)(const char *, size_t), const char *bytes, size_t length);
int branchfs_send_headers(int (*function)(sapi_headers_struct *), sapi_headers_struct *headers);

/* Puts another text in the place of a header line's. */
void branchfs_set_header(sapi_header_struct *line, const char *bytes, size_t length);

/* Ends all output buffers, as fastcgi_finish_request() does first. */
void branchfs_end_output(void);

/* The server's own function that fills $_SERVER. */
void branchfs_fill_server(void (*function)(zval *), zval *variables);

/* Sets an entry of an array. */
void branchfs_set_entry(zval *array, const char *name, const char *value, size_t length);

/* Drops an entry of $_SERVER. */
void branchfs_unset_server(const char *name);

/* Sets an ini setting until the end of the request, whoever may set it else. Where there is none of that name, nothing happens. */
void branchfs_set_ini(const char *name, const char *value);

#endif
