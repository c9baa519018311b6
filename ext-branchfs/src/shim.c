#include "shim.h"

#include <ext/standard/info.h>

ZEND_TLS bool bailed;

/* Runs a statement; a bailout is noted. */
#define NOTING_BAILOUT(statement) \
	do { \
		if (!bailed) { \
			zend_try { \
				statement; \
			} zend_catch { \
				bailed = true; \
			} zend_end_try(); \
		} \
	} while (0)

bool branchfs_has_bailed(void)
{
	return bailed;
}

void branchfs_resume(void)
{
	if (bailed) {
		bailed = false;
		zend_bailout();
	}
}

bool branchfs_try(void (*function)(void *), void *data)
{
	volatile bool came_back = false;
	NOTING_BAILOUT(function(data); came_back = true);
	return came_back;
}

void branchfs_call(void (*function)(zend_execute_data *, zval *), zend_execute_data *call, zval *result)
{
	NOTING_BAILOUT(function(call, result));
}

static void print_info(zend_module_entry *module, const char *version)
{
	php_info_print_table_start();
	php_info_print_table_row(2, "branchfs support", "enabled");
	php_info_print_table_row(2, "Version", version);
	php_info_print_table_row(2, "Lock", "shared from before the branch lookup until post-deactivate");
	php_info_print_table_end();
	display_ini_entries(module);
}

void branchfs_print_info(zend_module_entry *module, const char *version)
{
	NOTING_BAILOUT(print_info(module, version));
}

static void warn(const char *first, const char *second, const char *message)
{
	if (second != NULL) {
		php_error_docref2(NULL, first, second, E_WARNING, "%s", message);
	} else if (first != NULL) {
		php_error_docref1(NULL, first, E_WARNING, "%s", message);
	} else {
		php_error_docref(NULL, E_WARNING, "%s", message);
	}
}

void branchfs_warn(const char *first, const char *second, const char *message)
{
	NOTING_BAILOUT(warn(first, second, message));
}

void branchfs_log_error(php_stream_wrapper *wrapper, int options, const char *message)
{
	NOTING_BAILOUT(php_stream_wrapper_log_error(wrapper, options, "%s", message));
}

php_stream *branchfs_file_stream(int descriptor, const char *mode, bool at_start)
{
	php_stream *volatile stream = NULL;
	NOTING_BAILOUT(stream = _php_stream_fopen_from_fd(descriptor, mode, NULL, at_start STREAMS_CC));
	return stream;
}

php_stream *branchfs_stream(const php_stream_ops *operations, void *handle, const char *mode)
{
	php_stream *volatile stream = NULL;
	NOTING_BAILOUT(stream = php_stream_alloc(operations, handle, NULL, mode));
	return stream;
}

void branchfs_set_string(zend_string **place, const char *bytes, size_t length)
{
	NOTING_BAILOUT(*place = zend_string_init(bytes, length, false));
}

bool branchfs_is_confined(void)
{
	return PG(open_basedir) != NULL && *PG(open_basedir) != '\0';
}

bool branchfs_is_allowed(const char *path)
{
	volatile bool allowed = false;
	NOTING_BAILOUT(allowed = php_check_open_basedir_ex(path, 0) == 0);
	return allowed;
}

size_t branchfs_write(size_t (*function)(const char *, size_t), const char *bytes, size_t length)
{
	volatile size_t written = 0;
	NOTING_BAILOUT(written = function(bytes, length));
	return written;
}

int branchfs_send_headers(int (*function)(sapi_headers_struct *), sapi_headers_struct *headers)
{
	volatile int sent = SAPI_HEADER_SEND_FAILED;
	NOTING_BAILOUT(sent = function(headers));
	return sent;
}

static void set_header(sapi_header_struct *line, const char *bytes, size_t length)
{
	char *text = estrndup(bytes, length);
	efree(line->header);
	line->header = text;
	line->header_len = length;
}

void branchfs_set_header(sapi_header_struct *line, const char *bytes, size_t length)
{
	NOTING_BAILOUT(set_header(line, bytes, length));
}

void branchfs_end_output(void)
{
	NOTING_BAILOUT(php_output_end_all());
}

void branchfs_fill_server(void (*function)(zval *), zval *variables)
{
	NOTING_BAILOUT(function(variables));
}

void branchfs_set_entry(zval *array, const char *name, const char *value, size_t length)
{
	NOTING_BAILOUT(add_assoc_stringl(array, name, value, length));
}

static void unset_server(const char *name)
{
	zend_is_auto_global_str(ZEND_STRL("_SERVER"));
	zval *server = &PG(http_globals)[TRACK_VARS_SERVER];
	if (Z_TYPE_P(server) == IS_ARRAY) {
		zend_hash_str_del(Z_ARRVAL_P(server), name, strlen(name));
	}
}

void branchfs_unset_server(const char *name)
{
	NOTING_BAILOUT(unset_server(name));
}

static void set_ini(const char *name, const char *value)
{
	zend_string *key = zend_string_init(name, strlen(name), false);
	zend_alter_ini_entry_chars(key, value, strlen(value), PHP_INI_SYSTEM, PHP_INI_STAGE_ACTIVATE);
	zend_string_release(key);
}

void branchfs_set_ini(const char *name, const char *value)
{
	NOTING_BAILOUT(set_ini(name, value));
}
