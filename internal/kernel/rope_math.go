package kernel

import "math"

// The float64 functions behind the rotary tables. Package math's versions have
// assembly on some architectures and fuse multiply-adds on others, so their last
// bit differs; these do not. Reductions and polynomials are those of FreeBSD's
// msun (fdlibm). Every product that meets an addition is converted explicitly.

// horner64 evaluates c[0] + c[1]·x + c[2]·x² + …
func horner64(x float64, c ...float64) float64 {
	sum := c[len(c)-1]
	for i := len(c) - 2; i >= 0; i-- {
		sum = float64(sum*x) + c[i]
	}
	return sum
}

// roundMagic64 does for float64 what roundMagic does for float32.
const roundMagic64 = 3 << 51

// exp64 returns e^x with an error below 1 ulp for |x| ≤ 708; beyond that it
// returns 0 or +Inf.
func exp64(x float64) float64 {
	const (
		log2E = 1.44269504088896338700e+00
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
	)
	switch {
	case x > 708:
		return math.Inf(1)
	case x < -708:
		return 0
	}
	shifted := float64(x*log2E) + roundMagic64
	n := shifted - roundMagic64
	hi := x - float64(n*ln2Hi)
	lo := float64(n * ln2Lo)
	r := hi - lo
	z := float64(r * r)
	c := r - float64(z*horner64(z, 1.66666666666666019037e-01, -2.77777777770155933842e-03,
		6.61375632143793436117e-05, -1.65339022054652515390e-06, 4.13813679705723846039e-08))
	y := 1 - ((lo - float64(r*c)/(2-c)) - hi)
	return float64(y * math.Float64frombits(uint64(int64(n)+1023)<<52))
}

// log64 returns the natural logarithm of a positive normal x with an error below
// 1 ulp.
func log64(x float64) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
	)
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		fraction *= 2
		exponent--
	}
	f, k := fraction-1, float64(exponent)
	s := f / (2 + f)
	z := float64(s * s)
	r := float64(z * horner64(z, 6.666666666666735130e-01, 3.999999999940941908e-01,
		2.857142874366239149e-01, 2.222219843214978396e-01, 1.818357216161805012e-01,
		1.531383769920937332e-01, 1.479819860511658591e-01))
	halfSquare := float64(0.5 * float64(f*f))
	return float64(k*ln2Hi) - ((halfSquare - (float64(s*(halfSquare+r)) + float64(k*ln2Lo))) - f)
}

// sincos64 returns the sine and cosine of x with an absolute error below 2⁻⁵²
// for |x| ≤ 2³². π/2 is subtracted in pieces of 21 bits, so that up to 2³² times
// each piece is exact.
func sincos64(x float64) (sin, cos float64) {
	const (
		twoOverPi = 6.36619772367581382433e-01
		pio2A     = 0x1.921fbp+0
		pio2B     = 0x1.5110bp-22
		pio2C     = 0x1.184690p-44
		pio2D     = 0x1.13198a2e03707p-65
	)
	n := float64(float64(x*twoOverPi)+roundMagic64) - roundMagic64
	r := x - float64(n*pio2A)
	r -= float64(n * pio2B)
	r -= float64(n * pio2C)
	r -= float64(n * pio2D)
	z := float64(r * r)
	s := r + float64(float64(r*z)*horner64(z, -1.66666666666666324348e-01, 8.33333333332248946124e-03,
		-1.98412698298579493134e-04, 2.75573137070700676789e-06, -2.50507602534068634195e-08,
		1.58969099521155010221e-10))
	halfZ := float64(0.5 * z)
	w := 1 - halfZ
	c := w + (((1 - w) - halfZ) + float64(float64(z*z)*horner64(z, 4.16666666666666019037e-02,
		-1.38888888888741095749e-03, 2.48015872894767294178e-05, -2.75573143513906633035e-07,
		2.08757232129817482790e-09, -1.13596475577881948265e-11)))
	switch int64(n) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	default:
		return -c, s
	}
}
