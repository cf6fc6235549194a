//go:build !linux

package kernel

func pinThread(int) {}
