package kernel

//go:generate go -C gen run ./coarse -out ../coarse_amd64.s -stubs ../coarse_stub_amd64.go -pkg kernel
