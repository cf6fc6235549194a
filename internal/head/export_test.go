package head

// CheckSelection compares an answer with all logits.
var CheckSelection = checkSelection
