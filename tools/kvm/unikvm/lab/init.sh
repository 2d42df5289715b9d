#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Init of the default guest. Three virtio consoles carry a command:
# hvc0 its stdin and stdout, hvc1 its stderr, hvc2 what the host has to know
# ("ready", then "exit N"). /unikvm comes from a second cpio made for each run.
export PATH=/bin HOME=/root TERM=linux
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /tmp /root /mnt
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
modprobe -a virtio_pci virtio_console virtio_blk 2>/dev/null

finish() {
	sync
	poweroff -f
	sleep 5
	reboot -f
}

tries=0
while [ ! -c /dev/hvc2 ] && [ $tries -lt 100 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
if [ ! -c /dev/hvc2 ]; then
	echo "unikvm-init: only $(ls /dev/hvc* 2>/dev/null | wc -l) of 3 virtio consoles here" >/dev/console
	finish
fi

# Held open to the end: a console's settings go away with its last user.
exec 5<>/dev/hvc0 6<>/dev/hvc1 7<>/dev/hvc2
for fd in 5 6 7; do
	stty raw -echo <&$fd
done
mode=$(cat /unikvm/mode)
echo ready >&7

if [ "$mode" = exec ]; then
	sh /unikvm/command </unikvm/stdin >&5 2>&6 5>&- 6>&- 7>&-
	status=$?
else
	stty sane <&5
	stty $(cat /unikvm/size) <&5
	[ -f /unikvm/term ] && TERM=$(cat /unikvm/term)
	setsid -c sh -l <&5 >&5 2>&5 7>&-
	status=$?
fi
# stty waits for pending output first, so "exit" comes after all of it.
stty raw -echo <&5
stty raw -echo <&6
echo "exit $status" >&7
stty raw -echo <&7
finish
