"""Linear algebra in numpy, whose library has threads of its own."""

import numpy

random = numpy.random.default_rng(7)
matrix = random.random((400, 400))
product = matrix @ matrix.T
print(product.shape, float(numpy.round(product.sum(), 3)))
eigenvalues = numpy.linalg.eigvalsh(product)
print(len(eigenvalues), bool((eigenvalues > -1e-6).all()))
words = numpy.array(["buffer", "slot", "handle"] * 1000, dtype=object)
print(sorted(set(words)), numpy.sort(random.integers(0, 1000, 10_000))[::1000].tolist())
