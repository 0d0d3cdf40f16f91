// Rows chosen by number, and their gradients put back.

KERNEL gather_rows(const float *x, u32 n, u32 width, const u32 *indices, float *y) {
    EACH(i, n)
    y[i] = x[(size_t)indices[i / width] * width + i % width];
}

// For each row r the sum of the rows places[starts[r] .. starts[r + 1]], in their order.
KERNEL sum_places(const float *y, u32 n, u32 width, const u32 *starts, const u32 *places, float *x) {
    EACH(i, n)
    u32 row = i / width, k = i % width;
    float sum = 0.0f;
    for (u32 at = starts[row]; at < starts[row + 1]; at++) sum += y[(size_t)places[at] * width + k];
    x[i] = sum;
}
