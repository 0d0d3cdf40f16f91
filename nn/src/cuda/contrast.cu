// Losses on embeddings: sums and exponentials in f64.

// One block for each row of scores: cross entropy of `softmax(scores / temperature)` and an index. Turns the scores into
// `share` times their gradient. Without `indices`, row `i` of n has the index `i + n / 2` (modulo n) and leaves itself out.
KERNEL instance_rows(u32 width, double temperature, const u32 *indices, double share, float *scores, double *losses) {
    u32 row = blockIdx.x, positive = indices ? indices[row] : (row + width / 2) % width;
    scores += (size_t)row * width;
    double value = (double)scores[positive] / temperature, top = (double)NEGATIVE_INFINITY;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x)
        if (indices || k != row) top = fmax(top, (double)scores[k] / temperature);
    top = block_max(top);
    double sum = 0.0;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x)
        if (indices || k != row) sum += exp((double)scores[k] / temperature - top);
    double norm = top + log(block_sum(sum)), factor = share / temperature;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) {
        double p = indices || k != row ? exp((double)scores[k] / temperature - norm) : 0.0;
        scores[k] = (float)(factor * (k == positive ? p - 1.0 : p));
    }
    if (threadIdx.x == 0) losses[row] = norm - value;
}

// One block for each pair of an embedding and one of its `each` entries of the bank: the product of both.
KERNEL bank_products(const float *v, const float *bank, u32 width, u32 each, const u32 *entries, double *products) {
    const float *a = v + (size_t)(blockIdx.x / each) * width, *b = bank + (size_t)entries[blockIdx.x] * width;
    double product = row_product(a, b, width);
    if (threadIdx.x == 0) products[blockIdx.x] = product;
}

// Terms of noise-contrastive estimation, the first of each `each` being the positive: losses, and slopes in `products`.
KERNEL bank_nce_terms(u32 n, u32 each, double temperature, double offset, double constant, double share,
                      double *products, double *losses) {
    EACH(i, n)
    double log_odds = products[i] / temperature - offset, slope;
    bool positive = i % each == 0;
    double plus = softplus(positive ? -log_odds : log_odds, &slope);
    losses[i] = positive ? plus : plus - constant;
    products[i] = (positive ? -slope : slope) * share / temperature;
}

KERNEL bank_nce_gradient(const double *slopes, const float *bank, const u32 *entries, u32 n, u32 width, u32 each,
                         float *g) {
    EACH(i, n)
    size_t first = (size_t)(i / width) * each;
    double sum = 0.0;
    for (u32 j = 0; j < each; j++) sum += slopes[first + j] * (double)bank[(size_t)entries[first + j] * width + i % width];
    g[i] = (float)sum;
}

KERNEL bank_exponentials(u32 n, double temperature, double *products) {
    EACH(i, n)
    products[i] = exp(products[i] / temperature);
}

// In one block, embedding by embedding, since an entry may be there twice.
KERNEL bank_update(const float *v, const u32 *indices, u32 rows, u32 width, double momentum, float *bank) {
    for (u32 row = 0; row < rows; row++) {
        float *entry = bank + (size_t)indices[row] * width;
        double square = 0.0;
        for (u32 k = threadIdx.x; k < width; k += blockDim.x) {
            double mixed = momentum * (double)entry[k] + (1.0 - momentum) * (double)v[(size_t)row * width + k];
            square += mixed * mixed;
        }
        double norm = fmax(sqrt(block_sum(square)), 1e-12);
        for (u32 k = threadIdx.x; k < width; k += blockDim.x) {
            double mixed = momentum * (double)entry[k] + (1.0 - momentum) * (double)v[(size_t)row * width + k];
            entry[k] = (float)(mixed / norm);
        }
    }
}

// One block for each triplet: its hinge, 0 where it does not count.
KERNEL triplet_hinges(const float *z, u32 width, const u32 *triplets, double margin, double *hinges) {
    const u32 *t = triplets + 3 * (size_t)blockIdx.x;
    const float *anchor = z + (size_t)t[0] * width, *positive = z + (size_t)t[1] * width, *negative = z + (size_t)t[2] * width;
    double sum = 0.0;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) {
        double near = (double)anchor[k] - (double)positive[k], far = (double)anchor[k] - (double)negative[k];
        sum += near * near - far * far;
    }
    double hinge = block_sum(sum) + margin;
    // A NaN passes.
    if (threadIdx.x == 0) hinges[blockIdx.x] = hinge <= 0.0 ? 0.0 : hinge;
}

KERNEL triplet_gradient(const float *z, u32 n, u32 width, const u32 *triplets, u32 count, const double *hinges, float *g) {
    EACH(i, n)
    u32 row = i / width, k = i % width;
    double sum = 0.0;
    for (u32 j = 0; j < count; j++) {
        const u32 *t = triplets + 3 * (size_t)j;
        if (hinges[j] == 0.0) continue;
        double a = z[(size_t)t[0] * width + k], p = z[(size_t)t[1] * width + k], f = z[(size_t)t[2] * width + k];
        if (row == t[0]) sum += 2.0 * (f - p);
        if (row == t[1]) sum -= 2.0 * (a - p);
        if (row == t[2]) sum += 2.0 * (a - f);
    }
    g[i] = (float)sum;
}

// Balanced binary cross entropy of all pairs: partial sums for each block, and the gradient.
KERNEL coincidence(const float *logits, u32 n, u32 clips, double *parts, float *g) {
    double matching = 1.0 / clips, other = 1.0 / ((double)clips * (clips - 1)), loss = 0.0;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        bool same = i / clips == i % clips;
        double slope, x = logits[i], plus = softplus(same ? -x : x, &slope);
        loss += (same ? matching : other) * plus;
        g[i] = (float)(same ? -matching * slope : other * slope);
    }
    loss = block_sum(loss);
    if (threadIdx.x == 0) parts[blockIdx.x] = loss;
}
