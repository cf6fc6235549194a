// Programs that use Trit as somebody else's would: from a module outside it, which
// cannot import its insides.
module example.org/library

go 1.26.0

require trit v0.0.0

require (
	github.com/google/jsonschema-go v0.4.3 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace trit => ../..
