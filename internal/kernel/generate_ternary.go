package kernel

//go:generate go -C gen run ./ternary -out ../ternary_amd64.s -stubs ../ternary_stub_amd64.go -pkg kernel
