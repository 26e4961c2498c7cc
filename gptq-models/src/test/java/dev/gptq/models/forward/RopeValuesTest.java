package dev.gptq.models.forward;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.backend.Backend;
import dev.gptq.backend.RopePairs;
import dev.gptq.models.family.RopeSpec;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class RopeValuesTest {
  private static final RopeSpec SPEC =
      new RopeSpec(ImmutableDoubleArray.of(1, 0.1, 0.003), 1.5, RopePairs.HALVES, Optional.empty());

  @Test
  void theyAreThoseOfTheSpecAndComputedOnce() {
    RopeValues values = new RopeValues();
    RopeValues.Values first = values.of(SPEC, 7);
    assertThat(first.cosines()).isEqualTo(SPEC.cosines(7));
    assertThat(first.sines()).isEqualTo(SPEC.sines(7));
    assertThat(values.of(SPEC, 7)).isSameAs(first);
    assertThat(values.of(SPEC, 8).cosines()).isEqualTo(SPEC.cosines(8));
    assertThat(values.of(SPEC.reversed(), 7).sines()).isEqualTo(SPEC.reversed().sines(7));
  }

  @Test
  void tablesAreFilledFromThem() {
    RopeValues values = new RopeValues();
    try (Backend backend = TestBackends.open("reference");
        TensorScope one = backend.newScope();
        TensorScope other = backend.newScope()) {
      RopeTable first = new RopeTables(one, values).of(SPEC, 5, 5);
      RopeTable second = new RopeTables(other, values).of(SPEC, 5, 5);
      RopeTable alone = new RopeTables(other).of(SPEC, 5, 5);
      assertThat(first.sine()).isNotSameAs(second.sine());
      for (RopeTable table : new RopeTable[] {second, alone}) {
        assertThat(HostCopies.floats(table.cosine())).isEqualTo(HostCopies.floats(first.cosine()));
        assertThat(HostCopies.floats(table.sine())).isEqualTo(HostCopies.floats(first.sine()));
      }
    }
  }
}
