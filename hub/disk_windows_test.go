package hub

import "golang.org/x/sys/windows"

var diskFullError error = windows.ERROR_DISK_FULL
