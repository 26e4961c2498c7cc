package dev.gptq.models.gguf;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import java.util.Map;

/**
 * The matrix that makes keys and values of all heads from their latent. A checkpoint has the rows
 * of a head's keys and then those of its values, (heads·(still + value)) × latent. A file has the
 * rows of all values, heads × value × latent, and apart from them the keys, the columns of each
 * head as rows, heads × latent × still: so queries can be brought to the latent instead.
 *
 * @param heads attention heads
 * @param still channels of a key that are not rotated
 * @param value channels of a value
 */
public record LatentHalves(int heads, int still, int value) {
  /** Its module in a checkpoint, below a block. */
  public static final String MODULE = "self_attn.kv_b_proj";

  private static final String KEYS = "self_attn.k_b_proj.weight";
  private static final String VALUES = "self_attn.v_b_proj.weight";

  /** What the keys are called in a file, where the matrix would have that name. */
  public static String keys(String inFile) {
    return inFile.replace("attn_kv_b.", "attn_k_b.");
  }

  /** What the values are called in a file, where the matrix would have that name. */
  public static String values(String inFile) {
    return inFile.replace("attn_kv_b.", "attn_v_b.");
  }

  /** The row of the matrix that is a channel of a head's key. */
  public int keyRow(int head, int channel) {
    return head * (still + value) + channel;
  }

  /** The row of the matrix that is a row of the values of all heads. */
  public int valueRow(int row) {
    return row / value * (still + value) + still + row % value;
  }

  /** Tensors of a checkpoint with the two halves in one, decoded to float32. */
  static ImmutableMap<String, StoredTensor> joined(Map<String, StoredTensor> tensors) {
    ImmutableMap.Builder<String, StoredTensor> joined = ImmutableMap.builder();
    tensors.forEach((name, tensor) -> {
      if (name.endsWith(KEYS)) {
        String prefix = name.substring(0, name.length() - KEYS.length());
        StoredTensor values = tensors.get(prefix + VALUES);
        if (values != null) {
          String matrix = prefix + MODULE + ".weight";
          joined.put(matrix, joined(matrix, tensor, values));
        }
      } else if (!name.endsWith(VALUES)) {
        joined.put(name, tensor);
      }
    });
    return joined.buildOrThrow();
  }

  private static StoredTensor joined(String name, StoredTensor keys, StoredTensor values) {
    int heads = Math.toIntExact(keys.shape().getFirst());
    int latent = Math.toIntExact(keys.shape().get(1));
    Preconditions.checkState(
        values.shape().getFirst() == heads && values.shape().getLast() == latent,
        "%s and %s are of different heads",
        keys.name(),
        values.name());
    LatentHalves halves =
        new LatentHalves(
            heads, Math.toIntExact(keys.shape().getLast()), Math.toIntExact(values.shape().get(1)));
    int rows = heads * (halves.still + halves.value);
    return StoredTensor.computed(
        name,
        StoredType.F32,
        ImmutableList.of((long) rows, (long) latent),
        keys.file(),
        () -> Elements.toSegment(halves.joined(keys, values, latent)));
  }

  private float[] joined(StoredTensor keys, StoredTensor values, int latent) {
    float[] weights = new float[Math.multiplyExact(heads * (still + value), latent)];
    StoredTensor keysOnce = keys.once();
    StoredTensor valuesOnce = values.once();
    for (int head = 0; head < heads; head++) {
      for (int column = 0; column < latent; column++) {
        long from = ((long) head * latent + column) * still;
        for (int channel = 0; channel < still; channel++) {
          weights[keyRow(head, channel) * latent + column] = Elements.get(keysOnce, from + channel);
        }
      }
    }
    for (int row = 0; row < heads * value; row++) {
      for (int column = 0; column < latent; column++) {
        weights[valueRow(row) * latent + column] =
            Elements.get(valuesOnce, (long) row * latent + column);
      }
    }
    return weights;
  }
}
