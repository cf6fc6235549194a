#!/bin/sh
# Before removing ("remove" or 0), and also before upgrading, when the service goes on.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now trit.service
	fi
	;;
esac
