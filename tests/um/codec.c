// SPDX-License-Identifier: GPL-2.0
/*
 * The compressors alone: the time of the kernel's libraries for the pages of a file, in
 * the kernel that the backends run in, called as zram and ghostswap call them.
 */

#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/lz4.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/zstd.h>

#include "codec.h"

#define LIBRARIES	2
#define BUFFER_SIZE	(2 * PAGE_SIZE)

/* A page, allocated on its own as swapped pages are, and what it was compressed to. */
struct entry {
	struct list_head list;
	void *page;
	void *object[LIBRARIES];
	int length[LIBRARIES];
};

/* The state of an open file. Two of them share nothing. */
struct session {
	struct list_head entries;
	/* Held by each call through the file. */
	struct mutex lock;
	void *buffer;
	void *lz4;
	void *workspaces[2];
	zstd_parameters parameters;
	zstd_cctx *cctx;
	zstd_dctx *dctx;
};

static int lz4_out(struct session *session, const void *page)
{
	return LZ4_compress_default(page, session->buffer, PAGE_SIZE, BUFFER_SIZE, session->lz4);
}

static int lz4_in(struct session *session, const void *object, int length)
{
	return LZ4_decompress_safe(object, session->buffer, length, PAGE_SIZE);
}

static int zstd_out(struct session *session, const void *page)
{
	return zstd_compress_cctx(session->cctx, session->buffer, BUFFER_SIZE, page, PAGE_SIZE,
				  &session->parameters);
}

static int zstd_in(struct session *session, const void *object, int length)
{
	return zstd_decompress_dctx(session->dctx, session->buffer, PAGE_SIZE, object, length);
}

static const struct {
	int (*out)(struct session *session, const void *page);
	int (*in)(struct session *session, const void *object, int length);
} libraries[LIBRARIES] = {
	{ lz4_out, lz4_in },
	{ zstd_out, zstd_in },
};

static void free_entry(struct entry *entry)
{
	for (int i = 0; i < LIBRARIES; i++)
		kfree(entry->object[i]);
	free_page((unsigned long)entry->page);
	kfree(entry);
}

static int codec_release(struct inode *inode, struct file *file)
{
	struct session *session = file->private_data;
	struct entry *entry, *next;

	list_for_each_entry_safe(entry, next, &session->entries, list)
		free_entry(entry);
	for (int i = 0; i < ARRAY_SIZE(session->workspaces); i++)
		kvfree(session->workspaces[i]);
	kvfree(session->lz4);
	kfree(session->buffer);
	kfree(session);
	return 0;
}

static int codec_open(struct inode *inode, struct file *file)
{
	struct session *session = kzalloc_obj(*session);
	zstd_compression_parameters compression;
	size_t out, in;

	if (!session)
		return -ENOMEM;
	file->private_data = session;
	mutex_init(&session->lock);
	INIT_LIST_HEAD(&session->entries);

	session->parameters = zstd_get_params(zstd_default_clevel(), PAGE_SIZE);
	compression = zstd_get_cparams(zstd_default_clevel(), PAGE_SIZE, 0);
	out = zstd_cctx_workspace_bound(&compression);
	in = zstd_dctx_workspace_bound();
	session->buffer = kmalloc(BUFFER_SIZE, GFP_KERNEL);
	session->lz4 = kvmalloc(LZ4_MEM_COMPRESS, GFP_KERNEL);
	session->workspaces[0] = kvmalloc(out, GFP_KERNEL);
	session->workspaces[1] = kvmalloc(in, GFP_KERNEL);
	if (!session->buffer || !session->lz4 || !session->workspaces[0] ||
	    !session->workspaces[1]) {
		codec_release(inode, file);
		return -ENOMEM;
	}
	session->cctx = zstd_init_cctx(session->workspaces[0], out);
	session->dctx = zstd_init_dctx(session->workspaces[1], in);
	return 0;
}

/* Fills an entry with the page, and checks that the page comes back as it was. */
static int fill_entry(struct session *session, struct entry *entry, const char __user *from)
{
	entry->page = (void *)__get_free_page(GFP_KERNEL);
	if (!entry->page)
		return -ENOMEM;
	if (copy_from_user(entry->page, from, PAGE_SIZE))
		return -EFAULT;
	for (int i = 0; i < LIBRARIES; i++) {
		int length = libraries[i].out(session, entry->page);

		if (length <= 0)
			return -EIO;
		entry->length[i] = length;
		entry->object[i] = kmemdup(session->buffer, length, GFP_KERNEL);
		if (!entry->object[i])
			return -ENOMEM;
		if (libraries[i].in(session, entry->object[i], length) != PAGE_SIZE ||
		    memcmp(session->buffer, entry->page, PAGE_SIZE))
			return -EIO;
	}
	return 0;
}

static ssize_t codec_write(struct file *file, const char __user *from, size_t length, loff_t *pos)
{
	struct session *session = file->private_data;
	size_t done;

	if (length % PAGE_SIZE)
		return -EINVAL;
	guard(mutex)(&session->lock);
	for (done = 0; done < length; done += PAGE_SIZE) {
		struct entry *entry = kzalloc_obj(*entry);
		int err;

		if (!entry)
			return -ENOMEM;
		err = fill_entry(session, entry, from + done);
		if (err) {
			free_entry(entry);
			return err;
		}
		list_add_tail(&entry->list, &session->entries);
		cond_resched();
	}
	return done;
}

static long codec_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct session *session = file->private_data;
	unsigned int library = command == CODEC_ZSTD;
	ktime_t begin, middle, end;
	struct entry *entry;
	u64 times[2];

	if (command != CODEC_LZ4 && command != CODEC_ZSTD)
		return -ENOTTY;
	guard(mutex)(&session->lock);

	begin = ktime_get();
	list_for_each_entry(entry, &session->entries, list) {
		if (libraries[library].out(session, entry->page) != entry->length[library])
			return -EIO;
		cond_resched();
	}
	middle = ktime_get();
	list_for_each_entry(entry, &session->entries, list) {
		if (libraries[library].in(session, entry->object[library],
					  entry->length[library]) != PAGE_SIZE)
			return -EIO;
		cond_resched();
	}
	end = ktime_get();

	times[0] = ktime_to_ns(ktime_sub(middle, begin));
	times[1] = ktime_to_ns(ktime_sub(end, middle));
	return copy_to_user((void __user *)argument, times, sizeof(times)) ? -EFAULT : 0;
}

static const struct file_operations codec_operations = {
	.owner = THIS_MODULE,
	.open = codec_open,
	.release = codec_release,
	.write = codec_write,
	.unlocked_ioctl = codec_ioctl,
};

static struct dentry *codec_file;

static int __init codec_init(void)
{
	codec_file = debugfs_create_file("codec", 0600, NULL, NULL, &codec_operations);
	return PTR_ERR_OR_ZERO(codec_file);
}

static void __exit codec_exit(void)
{
	debugfs_remove(codec_file);
}

module_init(codec_init);
module_exit(codec_exit);
MODULE_DESCRIPTION("Times the compressors alone");
MODULE_LICENSE("GPL");
