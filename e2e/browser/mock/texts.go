package mock

import (
	"fmt"
	"strings"
)

// Showcase uses everything that the page can show.
const Showcase = "Ternary weights take one of three values, so a *multiplication* becomes an addition, a subtraction, or **nothing at all**. " +
	"That is the whole trick behind `BitNet b1.58`, and [the paper](https://arxiv.org/abs/2402.17764) explains why it works.\n\n" +
	"## How a weight is stored\n\n" +
	"Five ternary digits fit into one byte, because 3⁵ = 243 is less than 256:\n\n" +
	"```go\n// unpack splits a byte into five trits.\nfunc unpack(b byte) (trits [5]int8) {\n\tfor i := range trits {\n\t\ttrits[i] = int8(b%3) - 1 // −1, 0 or +1\n\t\tb /= 3\n\t}\n\treturn trits\n}\n```\n\n" +
	"1. Read the weights\n   - as they lie in the file\n   - without copying them\n2. Repack them for the kernels\n3. Multiply:\n   - [x] prompt in batches\n   - [ ] one token at a time\n\n" +
	"| Layout | Bits per weight | Speed |\n|:--|--:|:-:|\n| I2_S | 2.00 | fast |\n| TQ1_0 | 1.69 | faster |\n| base 3 | 1.60 | **fastest** |\n\n" +
	"> Memory is the limit, not arithmetic.\n\n" +
	"The scale is $s = \\frac{1}{n}\\sum_i |w_i|$, and the ~~hard~~ easy part is done.\n\n---\n\n" +
	"```python\nimport numpy as np\n\ndef ternarise(w):\n    \"\"\"AbsMean, as in the paper.\"\"\"\n    scale = np.abs(w).mean()\n    return np.clip(np.round(w / scale), -1, 1), scale\n```\n\nAnything else?"

// Formulas has what models write in LaTeX, one that is not known, and footnotes.
const Formulas = "The solutions of $ax^2 + bx + c = 0$ are\n\n$$x_{1,2} = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}$$\n\nfor $a \\neq 0$.[^1] Gauß found\n\n" +
	"\\[\\int_{-\\infty}^{\\infty} e^{-x^2}\\,dx = \\sqrt{\\pi}, \\qquad \\sum_{n=1}^{\\infty} \\frac{1}{n^2} = \\frac{\\pi^2}{6}\\]\n\n" +
	"and a step is\n\n$$\\begin{aligned} \\hat{y} &= \\operatorname{softmax}\\left(\\frac{QK^\\top}{\\sqrt{d}}\\right) V \\\\ &\\in \\mathbb{R}^{n \\times d} \\end{aligned}$$\n\n" +
	"$$f(x) = \\begin{cases} 1 & \\text{if } x > 0 \\\\ 0 & \\text{otherwise <img src=x onerror=window.pwned=1>} \\end{cases} \\qquad A = \\begin{pmatrix} 1 & 0 \\\\ 0 & 1 \\end{pmatrix}$$\n\n" +
	"This one is not known: $\\href{javascript:window.pwned=2}{x}$.\n\n[^1]: Otherwise it is *linear*."

// Hostile tries everything that markup has been abused for. All of it must show as text.
const Hostile = "<img src=x onerror=\"window.pwned=1\">\n\n<script>window.pwned=2</script>\n\n" +
	"[click](javascript:window.pwned=3) [tab](java\tscript:window.pwned=3) [upper](JaVaScRiPt:window.pwned=3) " +
	"[data](data:text/html,<script>parent.pwned=4</script>) [vb](vbscript:x) [file](file:///etc/passwd) [rel](/v1/models) [blob](blob:x)\n\n" +
	"![alt](https://evil.example/pixel.png) ![x](x\" onerror=\"window.pwned=5) <javascript:window.pwned=6>\n\n" +
	"<svg onload=window.pwned=7> <iframe srcdoc=\"<script>parent.pwned=8</script>\"></iframe> <a href=\"javascript:window.pwned=9\">a</a>\n\n" +
	"[q](https://ok.example/\"onmouseover=\"window.pwned=10) <style>body{display:none}</style> <base href=https://evil.example/>\n\n" +
	"```html\"><img src=x onerror=window.pwned=11>\n<img src=x onerror=window.pwned=12>\n```\n\n" +
	"| <img src=x onerror=window.pwned=13> | b |\n|---|---|\n| <b>c</b> | [d](javascript:window.pwned=14) |\n\n" +
	"&lt;script&gt;window.pwned=15&lt;/script&gt; &#x3C;img src=x onerror=window.pwned=16&#x3E;\n\n" +
	"<form action=https://evil.example/><input name=a></form> <meta http-equiv=refresh content=0;url=https://evil.example/> {{constructor.constructor('window.pwned=17')()}} ${window.pwned=18}\n\nThe end of it."

// Bombs are answers of 100 kB that are made to be slow.
func Bombs() map[string]string {
	fill := func(piece string) string { return strings.Repeat(piece, 100_000/len(piece)) }
	var nest strings.Builder
	for i := range 440 {
		nest.WriteString(strings.Repeat(" ", i) + "- a\n")
	}
	return map[string]string{
		"quotes":    fill("> "),
		"lists":     fill("- "),
		"nest":      nest.String(),
		"stars":     fill("*"),
		"emphasis":  fill("*a **b ") + fill("c** d* "),
		"brackets":  fill("["),
		"links":     fill("[a](http://x "),
		"goodlinks": fill("[a](http://x.example)"),
		"ticks":     fill("`a ``b "),
		"headings":  fill("#\n"),
		"fences":    fill("```\n"),
		"table":     "|a|b|\n|-|-|\n" + fill("|c|d|\n"),
		"wide":      fill("|a") + "\n" + fill("|-") + "\n",
		"dollars":   fill("$a "),
		"math":      fill("\\[\n"),
		"word":      fill("a"),
		"lines":     fill("a\n"),
		"code":      "```js\n" + fill("let a = \"b\"; // c\n") + "```",
		"entities":  fill("&amp;"),
	}
}

// Long returns an ordinary long answer.
func Long(size int) string {
	var b strings.Builder
	for i := 1; b.Len() < size; i++ {
		fmt.Fprintf(&b, "### Part %d\n\nA paragraph with **bold** and `code` and *more* of it, so that there is something to draw.\n\n- first\n- second\n\n```go\nfunc f%d() int { return %d } // a comment\n```\n\n", i, i, i)
	}
	return b.String()
}
