// SPDX-License-Identifier: GPL-2.0
/*
 * hold_disk disk=PATH - keep a reference to a disk, given by its directory in sysfs, for as long as
 * this module is loaded. So does a task that the disk throttled, until it returns to user space. In
 * the end the log says where the disk's operations are by then.
 */

#include <linux/blkdev.h>
#include <linux/kernfs.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/path.h>

static char *path;
module_param_named(disk, path, charp, 0);
MODULE_PARM_DESC(disk, "the directory of the disk in sysfs");

static struct gendisk *disk;

static int __init hold_disk_init(void)
{
	struct kernfs_node *node;
	struct path found;
	int err;

	if (!path)
		return -EINVAL;
	err = kern_path(path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &found);
	if (err)
		return err;
	/* What a directory of sysfs is of. It stays, for nothing else happens meanwhile. */
	node = d_inode(found.dentry)->i_private;
	disk = dev_to_disk(kobj_to_dev(node->priv));
	get_device(disk_to_dev(disk));
	path_put(&found);
	return 0;
}

static void __exit hold_disk_exit(void)
{
	unsigned long fops = (unsigned long)disk->fops;
	bool in_module = fops >= MODULES_VADDR && fops < MODULES_END;

	pr_info("hold_disk: the operations of %s are in %s\n", disk->disk_name,
		in_module ? "a module" : "the kernel");
	put_disk(disk);
}

module_init(hold_disk_init);
module_exit(hold_disk_exit);
MODULE_DESCRIPTION("Keeps a reference to a disk, for the tests of ghostswap");
MODULE_LICENSE("GPL");
