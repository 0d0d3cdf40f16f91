// Joining channels and cutting them apart.

// Puts pixels of `length` channels at channel `start` of pixels with `channels`.
KERNEL put_channels(const float *x, u32 n, u32 length, u32 channels, u32 start, float *y) {
    EACH(i, n)
    y[(size_t)(i / length) * channels + start + i % length] = x[i];
}

KERNEL take_channels(const float *y, u32 n, u32 length, u32 channels, u32 start, float *x) {
    EACH(i, n)
    x[i] = y[(size_t)(i / length) * channels + start + i % length];
}
