/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events.c - one table of fields, by which every style prints. What an event does not know is
 * left out. An event costs little else than being printed, hence no locks and no printf(3) where
 * every event comes along.
 */
#include "events.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

/* How a field is kept in struct xp_event, and how it reads. */
enum kind {
	TIME,
	SOURCE,
	EVENT,
	WATCH,
	BACKEND,
	U32,     /* 0 is unknown */
	U64,     /* the same */
	COUNT32, /* 0 is a value */
	COUNT64, /* the same */
	STRING,  /* NULL is unknown */
	ERROR,   /* an errno */
	DEVICE,  /* major:minor */
	WORD,    /* the index of a word in @words */
	OPERATION,
	FLAGS,
	RECORD
};

/* How a field stands in a line of text. */
enum place { NAMED, ALONE, NUMBERED, ABSENT };

struct field {
	const char *name;
	const char *text; /* its name in a line of text, where that is another */
	unsigned sources; /* bit N: an event of source N may have it */
	unsigned events;  /* bit N: event N of them may; 0: all */
	size_t at;        /* offset in struct xp_event */
	const char *const *words;
	enum kind kind;
	enum place place;
	char letter; /* its conversion in a format */
};

#define BIT(n) (1u << (n))
#define ANY (BIT(XP_SOURCE_COUNT) - 1)
#define AT(member) offsetof(struct xp_event, member)

static const char *const quota_types[] = { "user", "group", "project", NULL };

/* QUOTA_NL_*: a limit that was hit, or that is no longer exceeded. */
static const char *const quota_warnings[] = {
	"none",
	"inodes-hard",
	"inodes-grace-over",
	"inodes-soft",
	"blocks-hard",
	"blocks-grace-over",
	"blocks-soft",
	"inodes-hard-below",
	"inodes-soft-below",
	"blocks-hard-below",
	"blocks-soft-below",
	NULL,
};

static const struct field fields[] = {
	{ "time", NULL, ANY, 0, 0, NULL, TIME, ALONE, 't' },
	{ "source", NULL, ANY, 0, 0, NULL, SOURCE, ALONE, 's' },
	{ "event", NULL, ANY, 0, 0, NULL, EVENT, ALONE, 'e' },
	{ "watch", NULL, ANY, 0, 0, NULL, WATCH, NUMBERED, 'i' },
	{ "backend", NULL, ANY, 0, 0, NULL, BACKEND, ABSENT, 0 },

	{ "key_id", NULL, BIT(XP_SOURCE_KEY), 0, AT(key_id), NULL, U32, NAMED, 0 },
	{ "key_type", NULL, BIT(XP_SOURCE_KEY), 0, AT(key_type), NULL, STRING, NAMED, 0 },
	{ "description", NULL, BIT(XP_SOURCE_KEY), 0, AT(description), NULL, STRING, NAMED, 0 },
	{ "aux", NULL, BIT(XP_SOURCE_KEY), 0, AT(aux), NULL, U32, NAMED, 0 },

	{ "mnt_id", "id", BIT(XP_SOURCE_MOUNT), 0, AT(mount_id), NULL, U64, NAMED, 0 },
	{ "parent_id", "parent", BIT(XP_SOURCE_MOUNT), 0, AT(parent_id), NULL, U64, NAMED, 0 },
	{ "path", NULL, BIT(XP_SOURCE_MOUNT) | BIT(XP_SOURCE_SB), 0, AT(path), NULL, STRING, NAMED,
	  0 },
	{ "parent_path", NULL, BIT(XP_SOURCE_MOUNT), 0, AT(parent_path), NULL, STRING, NAMED, 0 },
	{ "old_path", NULL, BIT(XP_SOURCE_MOUNT), 0, AT(old_path), NULL, STRING, NAMED, 0 },
	{ "ns_id", NULL, BIT(XP_SOURCE_MOUNT), 0, AT(ns_id), NULL, U64, NAMED, 0 },

	{ "device", NULL, BIT(XP_SOURCE_SB) | BIT(XP_SOURCE_BLOCK), 0, AT(device), NULL, STRING,
	  NAMED, 0 },
	{ "dev", NULL, BIT(XP_SOURCE_MOUNT) | BIT(XP_SOURCE_SB) | BIT(XP_SOURCE_BLOCK), 0, 0, NULL,
	  DEVICE, NAMED, 0 },
	{ "error", NULL, BIT(XP_SOURCE_SB) | BIT(XP_SOURCE_BLOCK), 0, AT(error), NULL, ERROR, NAMED,
	  0 },
	{ "ino", NULL, BIT(XP_SOURCE_SB), 0, AT(ino), NULL, U64, NAMED, 0 },
	{ "quota_warning", NULL, BIT(XP_SOURCE_SB), BIT(XP_SB_QUOTA), AT(quota_warning),
	  quota_warnings, WORD, NAMED, 0 },
	{ "quota_type", NULL, BIT(XP_SOURCE_SB), BIT(XP_SB_QUOTA), AT(quota_type), quota_types,
	  WORD, NAMED, 0 },
	{ "quota_id", NULL, BIT(XP_SOURCE_SB), BIT(XP_SB_QUOTA), AT(quota_id), NULL, COUNT32, NAMED,
	  0 },
	{ "sector", NULL, BIT(XP_SOURCE_BLOCK), BIT(XP_BLOCK_ERROR), AT(sector), NULL, COUNT64,
	  NAMED, 0 },
	{ "bytes", NULL, BIT(XP_SOURCE_BLOCK), BIT(XP_BLOCK_ERROR), AT(bytes), NULL, COUNT32, NAMED,
	  0 },
	{ "operation", NULL, BIT(XP_SOURCE_BLOCK), BIT(XP_BLOCK_ERROR), 0, NULL, OPERATION, NAMED,
	  0 },
	{ "sectors", NULL, BIT(XP_SOURCE_BLOCK), BIT(XP_BLOCK_ADD) | BIT(XP_BLOCK_RESIZE),
	  AT(sector), NULL, U64, NAMED, 0 },

	{ "flags", NULL, ANY, 0, 0, NULL, FLAGS, NAMED, 0 },
	{ "record", NULL, ANY, 0, 0, NULL, RECORD, NAMED, 0 },
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* What a field says: bytes somewhere, or in the buffer. */
struct value {
	const char *bytes;
	size_t length;
	bool number;
	char buffer[320];
};

const char *event_name(const struct xp_event *e)
{
	const char *name;

	if (e->removal)
		return "removal";
	name = e->event < 0 ? NULL : xp_event_name(e->source, e->event);
	return name ? name : "unknown";
}

static bool is_text(struct value *v, const char *text)
{
	if (!text)
		return false;
	v->bytes = text;
	v->length = strlen(text);
	v->number = false;
	return true;
}

/* printf(3) takes long beside the rest of an event, so digits are made here. */
static char *digits(char *end, uint64_t number)
{
	do {
		*--end = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	return end;
}

static bool is_number(struct value *v, uint64_t number)
{
	char *end = v->buffer + sizeof(v->buffer);

	v->bytes = digits(end, number);
	v->length = (size_t)(end - v->bytes);
	v->number = true;
	return true;
}

/* "2026-11-20T07:20:00.123456Z"; what stands before the fraction is made once a second. */
static bool is_time(struct value *v, const struct timespec *time)
{
	static char second[32];
	static time_t of = -1;
	char *fraction = v->buffer + 19;
	struct tm tm;

	if (time->tv_sec != of) {
		gmtime_r(&time->tv_sec, &tm);
		of = time->tv_sec;
		if (strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &tm) != 19)
			return false;
	}
	memcpy(v->buffer, second, 19);
	digits(fraction + 8, (uint64_t)time->tv_nsec / 1000 + 1000000);
	fraction[0] = '.'; /* in place of the 1 */
	memcpy(fraction + 7, "Z", 2);
	return is_text(v, v->buffer);
}

static bool is_flags(struct value *v, unsigned flags)
{
	static const struct {
		unsigned flag;
		const char *name;
	} names[] = {
		{ XP_EVENT_RECURSIVE, ",recursive" },   { XP_EVENT_READONLY, ",readonly" },
		{ XP_EVENT_PROPAGATED, ",propagated" }, { XP_EVENT_INITIAL, ",initial" },
		{ XP_EVENT_RESCAN, ",rescan" },
	};

	v->buffer[0] = v->buffer[1] = '\0';
	for (size_t i = 0; flags && i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & names[i].flag)
			strcat(v->buffer, names[i].name);
	return is_text(v, v->buffer + 1) && v->length;
}

/* REQ_OP_* of the kernel, which are numbers with gaps. */
static bool is_operation(struct value *v, int operation)
{
	static const char *const names[] = {
		[0] = "read",         [1] = "write",        [2] = "flush",
		[3] = "discard",      [5] = "secure-erase", [7] = "zone-append",
		[9] = "write-zeroes", [10] = "zone-open",   [11] = "zone-close",
		[12] = "zone-finish", [13] = "zone-reset",  [15] = "zone-reset-all",
		[34] = "driver-in",   [35] = "driver-out",
	};

	if (operation < 0)
		return false;
	if ((size_t)operation < sizeof(names) / sizeof(names[0]) && names[operation])
		return is_text(v, names[operation]);
	return is_number(v, (unsigned)operation);
}

/* A record whose type has no name here: its bytes, in hexadecimal. */
static bool is_record(struct value *v, const struct xp_event *e)
{
	const unsigned char *bytes = e->record;
	size_t size = e->record_size;

	if (!bytes || e->removal || e->event >= 0)
		return false;
	if (size > (sizeof(v->buffer) - 1) / 2)
		size = (sizeof(v->buffer) - 1) / 2;
	for (size_t i = 0; i < size; i++)
		snprintf(v->buffer + 2 * i, 3, "%02x", bytes[i]);
	return is_text(v, v->buffer);
}

static bool is_device(struct value *v, const struct xp_event *e)
{
	if (!e->major && !e->minor)
		return false;
	snprintf(v->buffer, sizeof(v->buffer), "%" PRIu32 ":%" PRIu32, e->major, e->minor);
	return is_text(v, v->buffer);
}

static bool is_word(struct value *v, const char *const *words, uint32_t index)
{
	while (*words && index) {
		words++;
		index--;
	}
	return is_text(v, *words);
}

static bool is_error(struct value *v, int error)
{
	const char *name = error ? strerrorname_np(error) : NULL;

	return name ? is_text(v, name) : error && is_number(v, (unsigned)error);
}

/* False where the event does not know. */
static bool value_of(const struct field *f, const struct xp_event *e, struct value *v)
{
	const char *at = (const char *)e + f->at;
	uint64_t wide;
	uint32_t narrow;

	switch (f->kind) {
	case TIME:
		return is_time(v, &e->time);
	case SOURCE:
		return is_text(v, xp_source_name(e->source));
	case EVENT:
		return is_text(v, event_name(e));
	case WATCH:
		return e->watch >= 0 && is_number(v, (unsigned)e->watch);
	case BACKEND:
		return is_text(v, xp_backend_name(e->backend));
	case U32:
	case COUNT32:
		memcpy(&narrow, at, sizeof(narrow));
		return (narrow || f->kind == COUNT32) && is_number(v, narrow);
	case U64:
	case COUNT64:
		memcpy(&wide, at, sizeof(wide));
		return (wide || f->kind == COUNT64) && is_number(v, wide);
	case STRING:
		return is_text(v, *(const char *const *)(const void *)at);
	case ERROR:
		return is_error(v, e->error);
	case DEVICE:
		return is_device(v, e);
	case WORD:
		memcpy(&narrow, at, sizeof(narrow));
		return is_word(v, f->words, narrow);
	case OPERATION:
		return is_operation(v, e->operation);
	case FLAGS:
		return is_flags(v, e->flags);
	case RECORD:
		return is_record(v, e);
	}
	return false;
}

/* The value of a field that this event can have. */
static bool get(const struct field *f, const struct xp_event *e, struct value *v)
{
	v->bytes = "";
	v->length = 0;
	v->number = false;
	if (!(f->sources & BIT(e->source)))
		return false;
	if (f->events && (e->removal || e->event < 0 || !(f->events & BIT(e->event))))
		return false;
	return value_of(f, e, v);
}

/* How many bytes of @s stand in a line of text as they are; 0 where an escape has to. */
static size_t plain_length(const char *s, size_t left)
{
	unsigned char c = (unsigned char)*s;

	if (c < 0x80)
		return c >= ' ' && c != 0x7f && c != '"' && c != '\\';
	if (c == 0xc2 && left > 1 && (unsigned char)s[1] < 0xa0)
		return 0; /* U+0080 to U+009F are control characters too */
	return cli_utf8_length(s, left);
}

static void put_escape(FILE *to, char c)
{
	static const char letters[] = "abtnvfr"; /* from \a, 7, to \r, 13 */

	if (c >= '\a' && c <= '\r')
		fprintf(to, "\\%c", letters[c - '\a']);
	else if (c == '"' || c == '\\')
		fprintf(to, "\\%c", c);
	else
		fprintf(to, "\\%03o", (unsigned char)c);
}

static bool is_plain(const char *s, size_t length)
{
	size_t n;

	for (const char *end = s + length; s < end; s += n) {
		n = plain_length(s, (size_t)(end - s));
		if (!n || *s == ' ')
			return false;
	}
	return length;
}

/* A value as it is, or in double quotes with escapes as in C. */
static void put_quoted(FILE *to, const char *s, size_t length)
{
	if (is_plain(s, length)) {
		fwrite_unlocked(s, 1, length, to);
		return;
	}
	putc_unlocked('"', to);
	for (const char *end = s + length; s < end;) {
		size_t n = plain_length(s, (size_t)(end - s));

		if (n)
			fwrite_unlocked(s, 1, n, to);
		else
			put_escape(to, *s);
		s += n ? n : 1;
	}
	putc_unlocked('"', to);
}

static void print_text(FILE *to, const struct event_printer *printer, const struct xp_event *e)
{
	bool first = true;
	struct value v;

	for (const struct field *f = fields; f < fields + FIELDS; f++) {
		if (f->place == ABSENT || (f->place == NUMBERED && !printer->numbered) ||
		    !get(f, e, &v))
			continue;
		if (!first)
			putc_unlocked(' ', to);
		first = false;
		if (f->place != ALONE) {
			fputs_unlocked(f->text ? f->text : f->name, to);
			putc_unlocked('=', to);
		}
		put_quoted(to, v.bytes, v.length);
	}
}

/* A list of words, from those that commas part. */
static void json_list(FILE *to, const char *list)
{
	putc_unlocked('[', to);
	while (*list) {
		size_t n = strcspn(list, ",");

		cli_json_bytes(to, list, n);
		list += n;
		if (*list)
			putc_unlocked(*list++, to);
	}
	putc_unlocked(']', to);
}

static void json_value(FILE *to, const struct field *f, const struct value *v)
{
	if (f->kind == FLAGS) {
		json_list(to, v->bytes);
	} else if (v->number) {
		fwrite_unlocked(v->bytes, 1, v->length, to);
	} else if (f->kind != STRING || cli_is_utf8(v->bytes, v->length)) {
		cli_json_bytes(to, v->bytes, v->length);
	} else {
		cli_json_lossy(to, v->bytes, v->length);
		fprintf(to, ",\"%s_base64\":\"", f->name);
		cli_base64(to, v->bytes, v->length);
		putc_unlocked('"', to);
	}
}

static void print_json(FILE *to, const struct xp_event *e)
{
	char between = '{';
	struct value v;

	for (const struct field *f = fields; f < fields + FIELDS; f++) {
		if (!get(f, e, &v) && f->kind != FLAGS)
			continue;
		putc_unlocked(between, to);
		between = ',';
		putc_unlocked('"', to);
		fputs_unlocked(f->name, to);
		fputs_unlocked("\":", to);
		json_value(to, f, &v);
	}
	putc_unlocked('}', to);
}

/* The field that a conversion at @s, behind its %, names; @end is what comes after it. */
static const struct field *find(const char *s, const char **end)
{
	size_t n = 0;

	*end = *s ? s + 1 : s;
	if (*s == '{') {
		n = strcspn(++s, "}");
		*end = s[n] ? s + n + 1 : s + n;
		if (!s[n])
			return NULL;
	}
	for (const struct field *f = fields; f < fields + FIELDS; f++)
		if (n ? strlen(f->name) == n && !strncmp(f->name, s, n) :
			f->letter && f->letter == *s)
			return f;
	return NULL;
}

/* The character that a backslash and @c stand for, or -1. */
static int escape(char c)
{
	static const char letters[] = "0abtnvfr\\", values[] = "\0\a\b\t\n\v\f\r\\";
	const char *at = c ? strchr(letters, c) : NULL;

	return at ? values[at - letters] : -1;
}

const char *event_format_error(const char *format, const char **at, int *length)
{
	const char *end;

	for (; *format; format = end) {
		end = format + 1;
		*at = format;
		if (*format == '\\') {
			*length = format[1] ? 2 : 1;
			if (escape(format[1]) < 0)
				return "no such escape";
			end++;
		} else if (*format == '%' && format[1] == '%') {
			end++;
		} else if (*format == '%') {
			const struct field *f = find(format + 1, &end);

			*length = (int)(end - format);
			if (!f)
				return "no such field";
		}
	}
	return NULL;
}

static void print_format(FILE *to, const char *format, const struct xp_event *e)
{
	const char *end;
	struct value v;

	for (; *format; format = end) {
		end = format + 1;
		if (*format == '\\') {
			putc_unlocked(escape(*end++), to);
		} else if (*format == '%' && *end != '%') {
			const struct field *f = find(format + 1, &end);

			if (f && get(f, e, &v))
				fwrite_unlocked(v.bytes, 1, v.length, to);
		} else {
			putc_unlocked(*format, to);
			if (*format == '%')
				end++;
		}
	}
}

void event_print(FILE *to, const struct event_printer *printer, const struct xp_event *e)
{
	switch (printer->style) {
	case EVENT_TEXT:
		print_text(to, printer, e);
		break;
	case EVENT_JSON:
		print_json(to, e);
		break;
	case EVENT_FORMAT:
		print_format(to, printer->format, e);
		break;
	}
	putc_unlocked(printer->end, to);
}

void event_variables(FILE *to, const struct xp_event *e)
{
	struct value v;

	for (const struct field *f = fields; f < fields + FIELDS; f++) {
		if (!get(f, e, &v))
			continue;
		fputs_unlocked("WATCHQ_", to);
		for (const char *c = f->name; *c; c++)
			putc_unlocked(toupper((unsigned char)*c), to);
		putc_unlocked('=', to);
		fwrite_unlocked(v.bytes, 1, v.length, to);
		putc_unlocked('\0', to);
	}
}
