/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The events that tracers can attach to. trace.rs says what they mean.
 *
 * Their names and fields are an interface: tools have them in scripts. A field may be added at the
 * end, and none is removed or changed.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ghostswap

#if !defined(_GHOSTSWAP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _GHOSTSWAP_TRACE_H

#include <linux/tracepoint.h>

#define ghostswap_show_kind(kind)		\
	__print_symbolic(kind,			\
			 { 0, "same" },		\
			 { 1, "compressed" },	\
			 { 2, "incompressible" })

TRACE_EVENT(ghostswap_store,

	TP_PROTO(const char *pool, u32 area, u32 slot, u32 kind, u32 bytes),

	TP_ARGS(pool, area, slot, kind, bytes),

	TP_STRUCT__entry(
		__string(pool, pool)
		__field(u32, area)
		__field(u32, slot)
		__field(u32, kind)
		__field(u32, bytes)
	),

	TP_fast_assign(
		__assign_str(pool);
		__entry->area = area;
		__entry->slot = slot;
		__entry->kind = kind;
		__entry->bytes = bytes;
	),

	TP_printk("pool=%s area=%u slot=%u kind=%s bytes=%u",
		  __get_str(pool), __entry->area, __entry->slot,
		  ghostswap_show_kind(__entry->kind), __entry->bytes)
);

TRACE_EVENT(ghostswap_load,

	TP_PROTO(const char *pool, u32 area, u32 slot, u32 kind, u32 bytes, u32 from, u64 nsecs),

	TP_ARGS(pool, area, slot, kind, bytes, from, nsecs),

	TP_STRUCT__entry(
		__string(pool, pool)
		__field(u32, area)
		__field(u32, slot)
		__field(u32, kind)
		__field(u32, bytes)
		__field(u32, from)
		__field(u64, nsecs)
	),

	TP_fast_assign(
		__assign_str(pool);
		__entry->area = area;
		__entry->slot = slot;
		__entry->kind = kind;
		__entry->bytes = bytes;
		__entry->from = from;
		__entry->nsecs = nsecs;
	),

	TP_printk("pool=%s area=%u slot=%u kind=%s bytes=%u from=%s nsecs=%llu",
		  __get_str(pool), __entry->area, __entry->slot,
		  ghostswap_show_kind(__entry->kind), __entry->bytes,
		  __print_symbolic(__entry->from, { 0, "ram" }, { 1, "store" }),
		  __entry->nsecs)
);

DECLARE_EVENT_CLASS(ghostswap_move,

	TP_PROTO(const char *pool, u32 area, u32 slot, u32 kind, u32 bytes, u32 backing,
		 u32 segment),

	TP_ARGS(pool, area, slot, kind, bytes, backing, segment),

	TP_STRUCT__entry(
		__string(pool, pool)
		__field(u32, area)
		__field(u32, slot)
		__field(u32, kind)
		__field(u32, bytes)
		__field(u32, backing)
		__field(u32, segment)
	),

	TP_fast_assign(
		__assign_str(pool);
		__entry->area = area;
		__entry->slot = slot;
		__entry->kind = kind;
		__entry->bytes = bytes;
		__entry->backing = backing;
		__entry->segment = segment;
	),

	TP_printk("pool=%s area=%u slot=%u kind=%s bytes=%u backing=%u segment=%u",
		  __get_str(pool), __entry->area, __entry->slot,
		  ghostswap_show_kind(__entry->kind), __entry->bytes,
		  __entry->backing, __entry->segment)
);

DEFINE_EVENT(ghostswap_move, ghostswap_write_back,
	TP_PROTO(const char *pool, u32 area, u32 slot, u32 kind, u32 bytes, u32 backing,
		 u32 segment),
	TP_ARGS(pool, area, slot, kind, bytes, backing, segment)
);

DEFINE_EVENT(ghostswap_move, ghostswap_read_back,
	TP_PROTO(const char *pool, u32 area, u32 slot, u32 kind, u32 bytes, u32 backing,
		 u32 segment),
	TP_ARGS(pool, area, slot, kind, bytes, backing, segment)
);

TRACE_EVENT(ghostswap_clean,

	TP_PROTO(const char *pool, u32 area, u32 slot, u32 kind, u32 bytes, u32 backing,
		 u32 segment, u32 to_backing, u32 to_segment),

	TP_ARGS(pool, area, slot, kind, bytes, backing, segment, to_backing, to_segment),

	TP_STRUCT__entry(
		__string(pool, pool)
		__field(u32, area)
		__field(u32, slot)
		__field(u32, kind)
		__field(u32, bytes)
		__field(u32, backing)
		__field(u32, segment)
		__field(u32, to_backing)
		__field(u32, to_segment)
	),

	TP_fast_assign(
		__assign_str(pool);
		__entry->area = area;
		__entry->slot = slot;
		__entry->kind = kind;
		__entry->bytes = bytes;
		__entry->backing = backing;
		__entry->segment = segment;
		__entry->to_backing = to_backing;
		__entry->to_segment = to_segment;
	),

	TP_printk("pool=%s area=%u slot=%u kind=%s bytes=%u backing=%u segment=%u to_backing=%u to_segment=%u",
		  __get_str(pool), __entry->area, __entry->slot,
		  ghostswap_show_kind(__entry->kind), __entry->bytes,
		  __entry->backing, __entry->segment,
		  __entry->to_backing, __entry->to_segment)
);

TRACE_EVENT(ghostswap_recompress,

	TP_PROTO(const char *pool, u32 area, u32 slot, u32 bytes, u32 before),

	TP_ARGS(pool, area, slot, bytes, before),

	TP_STRUCT__entry(
		__string(pool, pool)
		__field(u32, area)
		__field(u32, slot)
		__field(u32, bytes)
		__field(u32, before)
	),

	TP_fast_assign(
		__assign_str(pool);
		__entry->area = area;
		__entry->slot = slot;
		__entry->bytes = bytes;
		__entry->before = before;
	),

	TP_printk("pool=%s area=%u slot=%u bytes=%u before=%u",
		  __get_str(pool), __entry->area, __entry->slot,
		  __entry->bytes, __entry->before)
);

TRACE_EVENT(ghostswap_fail,

	TP_PROTO(const char *pool, u32 area, u32 slot, u32 op, int error),

	TP_ARGS(pool, area, slot, op, error),

	TP_STRUCT__entry(
		__string(pool, pool)
		__field(u32, area)
		__field(u32, slot)
		__field(u32, op)
		__field(int, error)
	),

	TP_fast_assign(
		__assign_str(pool);
		__entry->area = area;
		__entry->slot = slot;
		__entry->op = op;
		__entry->error = error;
	),

	TP_printk("pool=%s area=%u slot=%u op=%s error=%d",
		  __get_str(pool), __entry->area, __entry->slot,
		  __print_symbolic(__entry->op, { 0, "store" }, { 1, "load" }),
		  __entry->error)
);

#endif

/* This must be outside of what is read once. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
