package kernel

//go:generate go -C gen run ./float -part vector -out ../float_amd64.s -stubs ../float_stub_amd64.go -pkg kernel
//go:generate go -C gen run ./float -part exp -out ../exp_amd64.s -stubs ../exp_stub_amd64.go -pkg kernel
//go:generate go -C gen run ./float -part attention -out ../attention_amd64.s -stubs ../attention_stub_amd64.go -pkg kernel
//go:generate go -C gen run ./float -part hadamard -out ../hadamard_amd64.s -stubs ../hadamard_stub_amd64.go -pkg kernel
//go:generate go -C gen run ./float -part delta -out ../delta_amd64.s -stubs ../delta_stub_amd64.go -pkg kernel
//go:generate go -C gen run ./float -part head -out ../head_amd64.s -stubs ../head_stub_amd64.go -pkg kernel
