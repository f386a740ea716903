/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What codec.c is asked through CODEC_FILE: it is written the pages, once and in any
 * number of pieces, and then compresses and decompresses all of them by ioctl().
 */
#ifndef UM_CODEC_H
#define UM_CODEC_H

#define CODEC_FILE	"/sys/kernel/debug/codec"

/* The argument is two 64-bit numbers: the nanoseconds for all pages out, and in. */
#define CODEC_LZ4	_IOR('g', 0, __u64[2])
#define CODEC_ZSTD	_IOR('g', 1, __u64[2])

#endif
