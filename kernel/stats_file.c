// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET_STATS_FD: a VM's or vCPU's statistics as a file; see api.rst 4.133. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "main.h"

static_assert(sizeof(struct kvm_stat_desc) ==
	      sizeof(struct kvm_stats_desc) + KVM_STATS_NAME_SIZE);
static_assert(offsetof(struct kvm_stat_desc, exponent) ==
	      offsetof(struct kvm_stats_desc, exponent));
static_assert(offsetof(struct kvm_stat_desc, offset) ==
	      offsetof(struct kvm_stats_desc, offset));
static_assert(offsetof(struct kvm_stat_desc, name) ==
	      offsetof(struct kvm_stats_desc, name));

/* The parts of the file, in their order. */
enum { PART_HEADER, PART_ID, PART_DESCS, PART_DATA, NR_PARTS };

struct stats_file {
	struct kvm *kvm;
	struct kvm_stats_header header;
	char id[KVM_STATS_NAME_SIZE];
	struct {
		const void *start;
		size_t size;
	} part[NR_PARTS];
};

static ssize_t stats_read(struct file *filp, char __user *buf, size_t len,
			  loff_t *pos)
{
	const struct stats_file *f = filp->private_data;
	size_t done = 0, n;
	loff_t offset = *pos;
	int i;

	for (i = 0; i < NR_PARTS && done < len; i++) {
		if (offset >= f->part[i].size) {
			offset -= f->part[i].size;
			continue;
		}
		n = min_t(size_t, len - done, f->part[i].size - offset);
		if (copy_to_user(buf + done, f->part[i].start + offset, n))
			return -EFAULT;
		done += n;
		offset = 0;
	}
	*pos += done;
	return done;
}

static loff_t stats_llseek(struct file *filp, loff_t offset, int whence)
{
	const struct stats_file *f = filp->private_data;

	return fixed_size_llseek(filp, offset, whence,
				 f->header.data_offset +
				 f->part[PART_DATA].size);
}

static int stats_release(struct inode *inode, struct file *filp)
{
	struct stats_file *f = filp->private_data;

	kvm_put(f->kvm);
	kfree(f);
	return 0;
}

struct file_operations kvm_stats_fops = {
	.release = stats_release,
	.read = stats_read,
	.llseek = stats_llseek,
};

static struct stats_file *stats_file_alloc(struct kvm *kvm,
					   struct kvm_vcpu *vcpu)
{
	struct stats_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	u32 nr = vcpu ? kvm_nr_vcpu_stats : kvm_nr_vm_stats;

	if (!f)
		return NULL;
	f->kvm = kvm;
	if (vcpu)
		snprintf(f->id, sizeof(f->id), "kvm-%d/vcpu-%u", kvm->creator,
			 vcpu->vcpu_id);
	else
		snprintf(f->id, sizeof(f->id), "kvm-%d", kvm->creator);
	f->header = (struct kvm_stats_header) {
		.name_size = KVM_STATS_NAME_SIZE,
		.num_desc = nr,
		.id_offset = sizeof(f->header),
		.desc_offset = sizeof(f->header) + sizeof(f->id),
		.data_offset = sizeof(f->header) + sizeof(f->id) +
			       nr * sizeof(struct kvm_stat_desc),
	};
	f->part[PART_HEADER].start = &f->header;
	f->part[PART_HEADER].size = sizeof(f->header);
	f->part[PART_ID].start = f->id;
	f->part[PART_ID].size = sizeof(f->id);
	f->part[PART_DESCS].start = vcpu ? kvm_vcpu_stat_descs :
					   kvm_vm_stat_descs;
	f->part[PART_DESCS].size = nr * sizeof(struct kvm_stat_desc);
	f->part[PART_DATA].start = vcpu ? (void *)&vcpu->stat : &kvm->stat;
	f->part[PART_DATA].size = vcpu ? sizeof(vcpu->stat) :
					 sizeof(kvm->stat);
	return f;
}

/* The new file descriptor, which holds a reference on the VM; or -errno. */
long kvm_stats_file_create(struct kvm *kvm, struct kvm_vcpu *vcpu)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct stats_file *f;
	struct file *file;

	if (fd < 0)
		return fd;
	f = stats_file_alloc(kvm, vcpu);
	file = f ? anon_inode_getfile(vcpu ? "kvm-vcpu-stats" : "kvm-vm-stats",
				      &kvm_stats_fops, f, O_RDONLY) :
		   ERR_PTR(-ENOMEM);
	if (IS_ERR(file)) {
		kfree(f);
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	kvm_get(kvm);
	/* What open() would have found out about a regular file. */
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD;
	fd_install(fd, file);
	return fd;
}
