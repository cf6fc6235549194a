// Package picker lets the endpoint picker of the Gateway API Inference Extension choose between two replicas of
// `trit serve`: by their queues, by the use of their caches, and by what their caches hold of a prompt.
//
//	GOBIN=/tmp go install sigs.k8s.io/gateway-api-inference-extension/cmd/epp@v1.5.0
//	TRIT_PICKER=/tmp/epp go test -count=1 -v .
//
// The test plays the parts that the picker has in a cluster: an API server that knows the pool of
// deploy/kubernetes/inferencepool.yaml and two pods, and Envoy, which asks the picker for every request where it is to
// go. Without TRIT_PICKER it is skipped, and says so. It needs Linux, where all of 127.0.0.0/8 is this machine.
package picker
