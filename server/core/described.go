package core

// The JSON forms of fields that decode themselves.

var (
	texts      = Schema{"type": "array", "items": Schema{"type": "string"}}
	textOrList = Schema{"anyOf": []Schema{{"type": "string"}, texts}}
	anyObject  = Schema{"type": "object"}
)

// Schema implements Described.
func (*StopField) Schema() Schema { return textOrList }

// Schema implements Described.
func (*StringList) Schema() Schema { return textOrList }

// Schema implements Described.
func (*SamplersField) Schema() Schema { return textOrList }

// Schema implements Described.
func (*ToolChoiceField) Schema() Schema {
	return Schema{"anyOf": []Schema{{"enum": []string{"none", "auto", "required"}}, anyObject}}
}

// Schema implements Described.
func (*LogitBias) Schema() Schema {
	bias := Schema{"anyOf": []Schema{{"type": "number"}, {"const": false}}}
	return Schema{"anyOf": []Schema{{"type": "object", "additionalProperties": bias},
		{"type": "array", "items": Schema{"type": "array", "prefixItems": []Schema{{"type": []string{"integer", "string"}}, bias},
			"minItems": 2, "maxItems": 2}}}}
}
