// SPDX-License-Identifier: GPL-2.0
/*
 * slow_group disk=PATH - /dev/slow, which is that disk, but what is charged to one control group
 * gets RATE bytes a second. The rest waits for its turn, as with io.max in a kernel that throttles
 * groups. The group is told by its ID, the inode number of its directory, in the parameter of that
 * name; while that is 0, nothing waits.
 */

#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/cgroup.h>
#include <linux/module.h>
#include <linux/workqueue.h>

#define RATE	(64 << 10)

static char *path;
module_param_named(disk, path, charp, 0);
MODULE_PARM_DESC(disk, "the disk to read and write");

static unsigned long group;
module_param(group, ulong, 0600);
MODULE_PARM_DESC(group, "the ID of the control group that is throttled, or 0");

static struct file *below;
static struct gendisk *disk;

static DEFINE_SPINLOCK(lock);
static struct bio_list waiting = BIO_EMPTY_LIST;
/* Whether the work is scheduled, which submits the next of them. */
static bool works;

static void submit_next(struct work_struct *work);
static DECLARE_DELAYED_WORK(next, submit_next);

static void submit_next(struct work_struct *work)
{
	struct bio *bio;

	spin_lock(&lock);
	bio = bio_list_pop(&waiting);
	if (bio)
		schedule_delayed_work(&next, group ? bio->bi_iter.bi_size * HZ / RATE : 0);
	else
		works = false;
	spin_unlock(&lock);
	if (bio)
		submit_bio_noacct(bio);
}

static void slow_submit_bio(struct bio *bio)
{
	struct cgroup_subsys_state *css = bio_blkcg_css(bio);
	bool is_slow = css && cgroup_id(css->cgroup) == group;

	bio_set_dev(bio, file_bdev(below));
	if (!is_slow) {
		submit_bio_noacct(bio);
		return;
	}
	spin_lock(&lock);
	bio_list_add(&waiting, bio);
	if (!works)
		schedule_delayed_work(&next, 0);
	works = true;
	spin_unlock(&lock);
}

static const struct block_device_operations slow_ops = {
	.owner = THIS_MODULE,
	.submit_bio = slow_submit_bio,
};

static int __init slow_group_init(void)
{
	struct queue_limits limits;
	int err;

	if (!path)
		return -EINVAL;
	below = bdev_file_open_by_path(path, BLK_OPEN_READ | BLK_OPEN_WRITE, &below, NULL);
	if (IS_ERR(below))
		return PTR_ERR(below);
	blk_set_stacking_limits(&limits);
	disk = blk_alloc_disk(&limits, NUMA_NO_NODE);
	if (IS_ERR(disk)) {
		err = PTR_ERR(disk);
		goto put_below;
	}
	strscpy(disk->disk_name, "slow");
	disk->flags |= GENHD_FL_NO_PART;
	disk->fops = &slow_ops;
	set_capacity(disk, bdev_nr_sectors(file_bdev(below)));
	err = add_disk(disk);
	if (!err)
		return 0;
	put_disk(disk);
put_below:
	bdev_fput(below);
	return err;
}

static void __exit slow_group_exit(void)
{
	del_gendisk(disk);
	put_disk(disk);
	cancel_delayed_work_sync(&next);
	bdev_fput(below);
}

module_init(slow_group_init);
module_exit(slow_group_exit);
MODULE_DESCRIPTION("Throttles a control group, for the tests of ghostswap");
MODULE_LICENSE("GPL");
