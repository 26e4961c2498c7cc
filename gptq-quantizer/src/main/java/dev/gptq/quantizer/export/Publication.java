package dev.gptq.quantizer.export;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.safetensors.WriterOptions;
import java.util.Optional;

/**
 * What a checkpoint says of itself to those who find it on the hub, and how large its files are.
 *
 * @param baseModel the hub's name of the model that was quantized, {@code owner/name}; where it is
 *     empty, the one that the download cache knows the model by
 * @param shardLimit most bytes of tensors in one file
 * @param facts what was done, for the table of the model card, in its order
 */
public record Publication(
    Optional<String> baseModel, long shardLimit, ImmutableMap<String, String> facts) {
  /** Nothing but what the model itself shows. */
  public static final Publication DEFAULT =
      new Publication(Optional.empty(), WriterOptions.DEFAULT_SHARD_LIMIT, ImmutableMap.of());

  /** Checks the limit. */
  public Publication {
    Preconditions.checkArgument(shardLimit > 0, "a shard of %s bytes holds nothing", shardLimit);
  }

  /** The same with the name of the original. */
  public Publication withBaseModel(String name) {
    return new Publication(Optional.of(name), shardLimit, facts);
  }

  /** The same with other shards. */
  public Publication withShardLimit(long bytes) {
    return new Publication(baseModel, bytes, facts);
  }

  /** The same with other facts. */
  public Publication withFacts(ImmutableMap<String, String> other) {
    return new Publication(baseModel, shardLimit, other);
  }
}
