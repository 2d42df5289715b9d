# SPDX-License-Identifier: GPL-2.0-only
# The devices of a lab machine: what virtme-ng's command line and machine.py name.
CONFIG_Q35=y
CONFIG_HPET=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_9P=y
CONFIG_WDT_IB6300ESB=y
