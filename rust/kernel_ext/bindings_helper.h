/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads: the headers of what kernel_ext abstracts, and the prototypes of helpers.c.
 */
#ifndef _KERNEL_EXT_BINDINGS_HELPER_H
#define _KERNEL_EXT_BINDINGS_HELPER_H

#include <linux/mm.h>
#include <crypto/acompress.h>
#include <crypto/aead.h>
#include <crypto/chacha20poly1305.h>
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/cgroup.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/crc32.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/highmem.h>
#include <linux/kmemleak.h>
#include <linux/lz4.h>
#include <linux/namei.h>
#include <linux/oom.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/sort.h>
#include <linux/statfs.h>
#include <linux/suspend.h>
#include <linux/string.h>
#include <linux/string_helpers.h>
#include <linux/swap.h>
#include <linux/swap_ops.h>
#include <linux/swapops.h>
#include <linux/sysfs.h>
#include <linux/timex.h>
#include <linux/wait.h>
#include <linux/zsmalloc.h>
#include <linux/zstd.h>

#include "trace.h"

struct acomp_req *kernel_ext_acomp_request_alloc(struct crypto_acomp *tfm);
void kernel_ext_acomp_request_free(struct acomp_req *req);
int kernel_ext_acomp_run(struct acomp_req *req, const u8 *src, u8 *dst, unsigned int slen,
			 unsigned int dlen, bool compress);
void kernel_ext_crypto_free_acomp(struct crypto_acomp *tfm);
bool kernel_ext_crypto_has_acomp(const char *name);

void *kernel_ext_page_address(struct page *page);
void kernel_ext_copy_page(void *to, const void *from);
unsigned long kernel_ext_folio_swap_offset(const struct folio *folio);
void kernel_ext_folio_mark_uptodate(struct folio *folio);
unsigned long kernel_ext_direct_map_start(void);
unsigned long kernel_ext_max_swap_pages(void);
unsigned long kernel_ext_totalram_pages(void);

u64 kernel_ext_local_clock(void);

void __percpu *kernel_ext_alloc_percpu(size_t size);
void kernel_ext_this_cpu_add(u64 __percpu *counter, u64 delta);
void kernel_ext_this_cpu_inc(u64 __percpu *counters, size_t index);
void kernel_ext_this_cpu_add_pair(u64 __percpu *counters, u64 delta, u64 next);
u64 kernel_ext_percpu_sum(const u64 __percpu *counter);

struct inode *kernel_ext_folio_inode(const struct folio *folio);
loff_t kernel_ext_folio_pos(const struct folio *folio);
void kernel_ext_folio_fill_tail(struct folio *folio, const char *data, size_t len);

void kernel_ext_sysfs_attr_init(struct attribute *attribute);
void kernel_ext_sysfs_order_init(struct attribute *attribute);

void kernel_ext_init_waitqueue_head(struct wait_queue_head *queue);
void kernel_ext_wake_up_all(struct wait_queue_head *queue);
long kernel_ext_wait_timeout(struct wait_queue_head *queue, const u32 *count, u32 seen,
			     long timeout);
long kernel_ext_wait_interruptible_timeout(struct wait_queue_head *queue, const u32 *count,
					   u32 seen, long timeout);

int kernel_ext_cpuhp_setup_state_multi(const char *name,
				       int (*online)(unsigned int cpu, struct hlist_node *node));
void kernel_ext_cpuhp_remove_multi_state(int state);
int kernel_ext_cpuhp_state_add_instance(int state, struct hlist_node *node);
void kernel_ext_cpuhp_state_remove_instance(int state, struct hlist_node *node);

void kernel_ext_cond_resched(void);
unsigned int kernel_ext_num_online_cpus(void);

bool kernel_ext_current_is_kswapd(void);
bool kernel_ext_current_is_oom_origin(void);
unsigned int kernel_ext_memalloc_noreclaim_save(void);
void kernel_ext_memalloc_noreclaim_restore(unsigned int flags);

int kernel_ext_register_pm_notifier(struct notifier_block *notifier);
int kernel_ext_unregister_pm_notifier(struct notifier_block *notifier);
int kernel_ext_notifier_from_errno(int error);

void kernel_ext_kmemleak_ignore(const void *object);
unsigned long kernel_ext_get_free_page(gfp_t gfp);

const void *kernel_ext_zero_page(void);
struct gendisk *kernel_ext_blk_alloc_disk(struct queue_limits *lim);

struct page *kernel_ext_kvmalloc_page(const void *address);
void *kernel_ext_current_get_io_css(void);
void kernel_ext_css_put(void *css);
void kernel_ext_bio_charge(struct bio *bio, void *css);
bool kernel_ext_bdev_is_zoned(struct block_device *bdev);
bool kernel_ext_bdev_read_only(struct block_device *bdev);
unsigned int kernel_ext_bdev_max_discard_sectors(struct block_device *bdev);

void kernel_ext_inode_lock(struct inode *inode);
void kernel_ext_inode_unlock(struct inode *inode);
int kernel_ext_inode_drain_writes(struct inode *inode);
bool kernel_ext_file_unlinked(const struct file *file);
unsigned int kernel_ext_mapping_min_folio_order(const struct address_space *mapping);

struct crypto_sync_aead *kernel_ext_alloc_sync_aead(const char *name, u32 mask);
int kernel_ext_sync_aead_setkey(struct crypto_sync_aead *tfm, const u8 *key, unsigned int len);
int kernel_ext_sync_aead_crypt(struct crypto_sync_aead *tfm, struct scatterlist *src,
			       struct scatterlist *dst, unsigned int len, u8 *iv, bool encrypt);
void kernel_ext_free_sync_aead(struct crypto_sync_aead *tfm);
bool kernel_ext_prefers_aes_gcm(void);
void kernel_ext_sg_set_page(struct scatterlist *sg, struct page *page, unsigned int len,
			    unsigned int offset);
void kernel_ext_memzero_explicit(void *bytes, size_t len);

/* Constants behind casts, which bindgen does not evaluate as macros. */
static const u32 KERNEL_EXT_BLK_FEAT_STABLE_WRITES = (__force u32)BLK_FEAT_STABLE_WRITES;
static const u32 KERNEL_EXT_BLK_FEAT_SYNCHRONOUS = (__force u32)BLK_FEAT_SYNCHRONOUS;
static const u8 KERNEL_EXT_BLK_STS_NOTSUPP = (__force u8)BLK_STS_NOTSUPP;
static const u32 KERNEL_EXT_READ = READ;
static const u32 KERNEL_EXT_WRITE = WRITE;
static const u32 KERNEL_EXT_SWAP_CLUSTER_MAX = SWAP_CLUSTER_MAX;
static const u32 KERNEL_EXT_LOOKUP_FOLLOW = LOOKUP_FOLLOW;
static const u32 KERNEL_EXT_ESCAPE_OCTAL = ESCAPE_OCTAL;
static const u32 KERNEL_EXT_GFP_NOWAIT = (__force u32)(GFP_NOWAIT | __GFP_NORETRY | __GFP_NOWARN);
static const u32 KERNEL_EXT_GFP_OBJECT =
	(__force u32)(GFP_NOWAIT | __GFP_NORETRY | __GFP_NOWARN | __GFP_HIGHMEM | __GFP_MOVABLE);
static const u32 KERNEL_EXT_GFP_NOIO = (__force u32)GFP_NOIO;

#endif
