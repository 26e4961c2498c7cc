package dev.gptq.models.family;

/**
 * Shape and parameters of a gated delta rule.
 *
 * @param heads heads of the values
 * @param keySize features of a key
 * @param valueSize features of a value
 * @param shift name of what is added before the softplus, one number for each head
 * @param rate name of the logarithm of the rates, one number for each head
 */
public record DeltaSpec(int heads, int keySize, int valueSize, String shift, String rate) {}
