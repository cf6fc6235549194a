// Package docs tests what readers read: that lines fit a window.
package docs
