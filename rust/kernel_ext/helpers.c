// SPDX-License-Identifier: GPL-2.0
/*
 * Symbols for the macros and inline functions that bindgen cannot reach, one each, and nothing
 * more. bindings_helper.h declares them.
 */

#include <linux/fips.h>
#include <linux/kcsan-checks.h>

#include "bindings_helper.h"

/* After all that includes it to know the events: this makes them. */
#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "trace.h"

struct acomp_req *kernel_ext_acomp_request_alloc(struct crypto_acomp *tfm)
{
	return acomp_request_alloc(tfm);
}

void kernel_ext_acomp_request_free(struct acomp_req *req)
{
	acomp_request_free(req);
}

/* What waits for a device is on the stack, so all of it is in one function. */
int kernel_ext_acomp_run(struct acomp_req *req, const u8 *src, u8 *dst, unsigned int slen,
			 unsigned int dlen, bool compress)
{
	DECLARE_CRYPTO_WAIT(wait);
	int err;

	acomp_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG, crypto_req_done, &wait);
	/* What is not in the direct map must not get to a device. */
	if (virt_addr_valid(src))
		acomp_request_set_src_dma(req, src, slen);
	else
		acomp_request_set_src_nondma(req, src, slen);
	acomp_request_set_dst_dma(req, dst, dlen);
	err = compress ? crypto_acomp_compress(req) : crypto_acomp_decompress(req);
	return crypto_wait_req(err, &wait) ?: req->dlen;
}

void kernel_ext_crypto_free_acomp(struct crypto_acomp *tfm)
{
	crypto_free_acomp(tfm);
}

bool kernel_ext_crypto_has_acomp(const char *name)
{
	return crypto_has_acomp(name, 0, 0);
}

void *kernel_ext_page_address(struct page *page)
{
	return page_address(page);
}

void kernel_ext_copy_page(void *to, const void *from)
{
	copy_page(to, (void *)from);
}

unsigned long kernel_ext_folio_swap_offset(const struct folio *folio)
{
	return swp_offset(folio->swap);
}

void kernel_ext_folio_mark_uptodate(struct folio *folio)
{
	folio_mark_uptodate(folio);
}

/* Where the direct map begins. */
unsigned long kernel_ext_direct_map_start(void)
{
#ifdef CONFIG_ARM64
	/* PAGE_OFFSET is for CPUs that have all the bits of addresses that the kernel can use. */
	return _PAGE_OFFSET(vabits_actual);
#else
	return PAGE_OFFSET;
#endif
}

/* What generic_max_swapfile_size() in mm/swapfile.c computes; that one is not exported. */
unsigned long kernel_ext_max_swap_pages(void)
{
	swp_entry_t entry = __pte_to_swp_entry(__swp_entry_to_pte(__swp_entry(0, ~0UL)));
	unsigned long pages = __swp_offset(entry) + 1;

#ifdef CONFIG_X86
	/* Likewise of arch_max_swapfile_size() in arch/x86/mm/init.c, mitigations on. */
	if (boot_cpu_has_bug(X86_BUG_L1TF)) {
		unsigned long long limit = l1tf_pfn_limit();

		limit <<= PAGE_SHIFT - SWP_OFFSET_FIRST_BIT;
		pages = min_t(unsigned long long, limit, pages);
	}
#endif
	/* The header's last_page and swap_info_struct's max are 32 bits. */
	return min_t(unsigned long, pages, U32_MAX);
}

unsigned long kernel_ext_totalram_pages(void)
{
	return totalram_pages();
}

u64 kernel_ext_local_clock(void)
{
	return local_clock();
}

void __percpu *kernel_ext_alloc_percpu(size_t size)
{
	return __alloc_percpu(size, sizeof(u64));
}

void kernel_ext_this_cpu_add(u64 __percpu *counter, u64 delta)
{
	this_cpu_add(*counter, delta);
}

void kernel_ext_this_cpu_inc(u64 __percpu *counters, size_t index)
{
	this_cpu_inc(counters[index]);
}

void kernel_ext_this_cpu_add_pair(u64 __percpu *counters, u64 delta, u64 next)
{
	this_cpu_add(counters[0], delta);
	this_cpu_add(counters[1], next);
}

u64 kernel_ext_percpu_sum(const u64 __percpu *counter)
{
	unsigned int cpu;
	u64 sum = 0;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counter, cpu));
	return sum;
}

const void *kernel_ext_zero_page(void)
{
	return page_address(ZERO_PAGE(0));
}

struct gendisk *kernel_ext_blk_alloc_disk(struct queue_limits *lim)
{
	return blk_alloc_disk(lim, NUMA_NO_NODE);
}

struct inode *kernel_ext_folio_inode(const struct folio *folio)
{
	return folio->mapping->host;
}

loff_t kernel_ext_folio_pos(const struct folio *folio)
{
	return folio_pos(folio);
}

void kernel_ext_folio_fill_tail(struct folio *folio, const char *data, size_t len)
{
	folio_fill_tail(folio, 0, data, len);
}

void kernel_ext_sysfs_attr_init(struct attribute *attribute)
{
	sysfs_attr_init(attribute);
}

/* Of another class to lockdep: a write may wait for readers of files that it removes. */
void kernel_ext_sysfs_order_init(struct attribute *attribute)
{
	sysfs_attr_init(attribute);
}

int kernel_ext_cpuhp_setup_state_multi(const char *name,
				       int (*online)(unsigned int cpu, struct hlist_node *node))
{
	return cpuhp_setup_state_multi(CPUHP_AP_ONLINE_DYN, name, online, NULL);
}

void kernel_ext_cpuhp_remove_multi_state(int state)
{
	cpuhp_remove_multi_state(state);
}

int kernel_ext_cpuhp_state_add_instance(int state, struct hlist_node *node)
{
	return cpuhp_state_add_instance(state, node);
}

void kernel_ext_cpuhp_state_remove_instance(int state, struct hlist_node *node)
{
	cpuhp_state_remove_instance_nocalls(state, node);
}

void kernel_ext_cond_resched(void)
{
	cond_resched();
}

unsigned int kernel_ext_num_online_cpus(void)
{
	return num_online_cpus();
}

bool kernel_ext_current_is_kswapd(void)
{
	return current_is_kswapd();
}

bool kernel_ext_current_is_oom_origin(void)
{
	return oom_task_origin(current);
}

/*
 * Only a task itself writes its flags. Others read them, and the workqueue code does so as
 * these are written, but looks at none that changes here.
 */
unsigned int kernel_ext_memalloc_noreclaim_save(void)
{
	unsigned int flags;

	kcsan_disable_current();
	flags = memalloc_noreclaim_save();
	kcsan_enable_current();
	return flags;
}

void kernel_ext_memalloc_noreclaim_restore(unsigned int flags)
{
	kcsan_disable_current();
	memalloc_noreclaim_restore(flags);
	kcsan_enable_current();
}

int kernel_ext_register_pm_notifier(struct notifier_block *notifier)
{
	return register_pm_notifier(notifier);
}

int kernel_ext_unregister_pm_notifier(struct notifier_block *notifier)
{
	return unregister_pm_notifier(notifier);
}

int kernel_ext_notifier_from_errno(int error)
{
	return notifier_from_errno(error);
}

/* A handle is kept shifted, in a page that kmemleak does not scan. */
void kernel_ext_kmemleak_ignore(const void *object)
{
	kmemleak_ignore(object);
}

unsigned long kernel_ext_get_free_page(gfp_t gfp)
{
	return __get_free_page(gfp);
}

struct page *kernel_ext_kvmalloc_page(const void *address)
{
	return is_vmalloc_addr(address) ? vmalloc_to_page(address) : virt_to_page(address);
}

/* Null for the root group: no reference to it is counted. */
void *kernel_ext_current_get_io_css(void)
{
#ifdef CONFIG_BLK_CGROUP
	struct cgroup_subsys_state *css = task_get_css(current, io_cgrp_id);

	if (css != blkcg_root_css)
		return css;
#endif
	return NULL;
}

void kernel_ext_css_put(void *css)
{
#ifdef CONFIG_BLK_CGROUP
	css_put(css);
#endif
}

void kernel_ext_bio_charge(struct bio *bio, void *css)
{
	bio_associate_blkg_from_css(bio, css);
}

bool kernel_ext_bdev_is_zoned(struct block_device *bdev)
{
	return bdev_is_zoned(bdev);
}

bool kernel_ext_bdev_read_only(struct block_device *bdev)
{
	return bdev_read_only(bdev);
}

unsigned int kernel_ext_bdev_max_discard_sectors(struct block_device *bdev)
{
	return bdev_max_discard_sectors(bdev);
}

void kernel_ext_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

void kernel_ext_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

int kernel_ext_inode_drain_writes(struct inode *inode)
{
	return inode_drain_writes(inode);
}

bool kernel_ext_file_unlinked(const struct file *file)
{
	return d_unlinked(file->f_path.dentry);
}

unsigned int kernel_ext_mapping_min_folio_order(const struct address_space *mapping)
{
	return mapping_min_folio_order(mapping);
}

/* The crypto API may have been built without these. Then this finds none, and that is all. */
struct crypto_sync_aead *kernel_ext_alloc_sync_aead(const char *name, u32 mask)
{
	if (!IS_ENABLED(CONFIG_CRYPTO_AEAD))
		return ERR_PTR(-ENOENT);
	return crypto_alloc_sync_aead(name, 0, mask);
}

int kernel_ext_sync_aead_setkey(struct crypto_sync_aead *tfm, const u8 *key, unsigned int len)
{
	if (!IS_ENABLED(CONFIG_CRYPTO_AEAD))
		return -ENOENT;
	return crypto_sync_aead_setkey(tfm, key, len);
}

/* The request is on the stack, so all of it is in one function. */
int kernel_ext_sync_aead_crypt(struct crypto_sync_aead *tfm, struct scatterlist *src,
			       struct scatterlist *dst, unsigned int len, u8 *iv, bool encrypt)
{
	SYNC_AEAD_REQUEST_ON_STACK(req, tfm);
	int err;

	if (!IS_ENABLED(CONFIG_CRYPTO_AEAD))
		return -ENOENT;
	aead_request_set_callback(req, 0, NULL, NULL);
	aead_request_set_crypt(req, src, dst, len, iv);
	aead_request_set_ad(req, 0);
	err = encrypt ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
	memzero_explicit(req, sizeof(*req) + crypto_aead_reqsize(&tfm->base));
	return err;
}

void kernel_ext_free_sync_aead(struct crypto_sync_aead *tfm)
{
	crypto_free_sync_aead(tfm);
}

/* The CPU has instructions for it, or FIPS mode allows nothing else. */
bool kernel_ext_prefers_aes_gcm(void)
{
	if (fips_enabled)
		return true;
#if defined(CONFIG_X86)
	return boot_cpu_has(X86_FEATURE_AES) && boot_cpu_has(X86_FEATURE_PCLMULQDQ);
#elif defined(CONFIG_ARM64)
	return cpu_have_named_feature(AES) && cpu_have_named_feature(PMULL);
#else
	return true;
#endif
}

void kernel_ext_sg_set_page(struct scatterlist *sg, struct page *page, unsigned int len,
			    unsigned int offset)
{
	sg_set_page(sg, page, len, offset);
}

void kernel_ext_memzero_explicit(void *bytes, size_t len)
{
	memzero_explicit(bytes, len);
}

void kernel_ext_init_waitqueue_head(struct wait_queue_head *queue)
{
	init_waitqueue_head(queue);
}

void kernel_ext_wake_up_all(struct wait_queue_head *queue)
{
	wake_up_all(queue);
}

long kernel_ext_wait_timeout(struct wait_queue_head *queue, const u32 *count, u32 seen,
			     long timeout)
{
	/* What happened before the event was counted is visible after. */
	return wait_event_timeout(*queue, smp_load_acquire(count) != seen, timeout);
}

long kernel_ext_wait_interruptible_timeout(struct wait_queue_head *queue, const u32 *count,
					   u32 seen, long timeout)
{
	/* As above. */
	return wait_event_interruptible_timeout(*queue, smp_load_acquire(count) != seen, timeout);
}
