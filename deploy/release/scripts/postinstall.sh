#!/bin/sh
# After installing ("configure" or 1) and upgrading (with the old version, or 2).
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart trit.service
fi
case "$1-$2" in
configure- | 1-*) echo "A server that starts with the machine: systemctl enable --now trit (/etc/trit/serve.env has its settings)" ;;
esac
