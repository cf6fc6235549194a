#!/bin/sh
# After removing. What stays is the folder of models, /var/lib/private/trit.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
