package dev.gptq.cuda;

/**
 * Packed weights on the device, in the layout of {@link dev.gptq.pack.PackedMatrix}.
 *
 * @param scope owner of the memory
 * @param bits bits of a code
 * @param rows output features
 * @param columns input features
 * @param words address of the packed codes
 * @param scales address of the scales, groups × rows
 * @param zeros address of the zero points, or 0
 * @param groupOf address of the group of each column
 * @param groupSize columns of a group if groups are contiguous and whole units of 32, else 0
 * @param fixedZero zero point of all groups where {@code zeros} is 0
 * @param byteSize bytes in device memory
 */
record PlainWeights(
    CudaScope scope,
    int bits,
    int rows,
    int columns,
    long words,
    long scales,
    long zeros,
    long groupOf,
    int groupSize,
    float fixedZero,
    long byteSize)
    implements DeviceWeights {}
