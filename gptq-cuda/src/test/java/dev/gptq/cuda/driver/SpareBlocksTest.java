package dev.gptq.cuda.driver;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class SpareBlocksTest {
  private static final long ONE = 11;
  private static final long OTHER = 12;

  /** What is kept for a stream of a device of 32 GiB or less, and the largest block of that. */
  private static final long MOST = 64L << 20;

  private static final long LARGEST = 8L << 20;

  /** A pool that notes what is asked of it, and says no while it is full. */
  private static final class NotedPool implements SpareBlocks.Pool {
    private final List<Long> asked = new ArrayList<>();
    private final List<String> freed = new ArrayList<>();
    private boolean full;

    /** Where the next block lies, if that is said. */
    private long place;

    @Override
    public long allocate(long bytes, long stream) {
      asked.add(bytes);
      return full ? 0 : place != 0 ? place : 1000L * asked.size();
    }

    @Override
    public void free(long address, long stream) {
      freed.add(address + " in " + stream);
    }
  }

  private final NotedPool pool = new NotedPool();
  private final SpareBlocks blocks = new SpareBlocks(pool);

  @BeforeEach
  void begin() {
    blocks.begin(ONE, 0, 32L << 30);
    blocks.begin(OTHER, 1, 140L << 30);
  }

  @Test
  void aStreamTakesItsOwnBlocksAgain() {
    long first = blocks.allocate(5000, ONE);
    blocks.free(first, ONE);
    assertThat(blocks.allocate(5000, OTHER)).isNotEqualTo(first);
    assertThat(blocks.allocate(5000, ONE)).isEqualTo(first);
    assertThat(blocks.allocate(5000, ONE)).isNotEqualTo(first);
    assertThat(pool.freed).isEmpty();
  }

  @Test
  void blocksOfNearlyTheSameSizeAreTheSame() {
    long first = blocks.allocate(1_000_001, ONE);
    blocks.free(first, ONE);
    assertThat(blocks.allocate(990_000, ONE)).isEqualTo(first);
    blocks.free(first, ONE);
    assertThat(blocks.allocate(900_000, ONE)).isNotEqualTo(first);
    assertThat(pool.asked).allMatch(bytes -> bytes % 512 == 0).first().isEqualTo(1_048_576L);
    assertThat(pool.asked.getLast()).isBetween(900_000L, 900_000L * 9 / 8);
  }

  @Test
  void largeBlocksAreNotKept() {
    long large = blocks.allocate(LARGEST + 1, ONE);
    blocks.free(large, ONE);
    assertThat(pool.asked).containsExactly(LARGEST + 1);
    assertThat(pool.freed).containsExactly(large + " in " + ONE);
  }

  /** The pool may give its place to a large block, which would be taken for the small one. */
  @Test
  void aBlockThatAnotherStreamGaveBackIsForgotten() {
    long small = blocks.allocate(5000, ONE);
    blocks.free(small, OTHER);
    pool.place = small;
    blocks.free(blocks.allocate(LARGEST + 1, ONE), ONE);
    assertThat(pool.freed).containsExactly(small + " in " + OTHER, small + " in " + ONE);
  }

  @Test
  void sizesThatWereNotUsedForLongGoFirst() {
    int count = Math.toIntExact(MOST / LARGEST);
    long old = blocks.allocate(512, ONE);
    List<Long> large = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      large.add(blocks.allocate(LARGEST, ONE));
    }
    blocks.free(old, ONE);
    large.subList(1, count).forEach(block -> blocks.free(block, ONE));
    assertThat(pool.freed).isEmpty();
    blocks.free(large.getFirst(), ONE);
    assertThat(pool.freed).hasSize(1 + count / 2).first().isEqualTo(old + " in " + ONE);
    assertThat(large).contains(blocks.allocate(LARGEST, ONE));
  }

  @Test
  void nothingIsKeptOfARecording() {
    long before = blocks.allocate(512, ONE);
    blocks.free(before, ONE);
    blocks.record(ONE, true);
    long noted = blocks.allocate(512, ONE);
    assertThat(noted).isNotEqualTo(before);
    blocks.free(noted, ONE);
    assertThat(pool.freed).containsExactly(noted + " in " + ONE);
    blocks.record(ONE, false);
    assertThat(blocks.allocate(512, ONE)).isEqualTo(before);
  }

  @Test
  void allThatIsKeptOfADeviceIsGivenBack() {
    long one = blocks.allocate(512, ONE);
    long other = blocks.allocate(512, OTHER);
    blocks.free(one, ONE);
    blocks.free(other, OTHER);
    blocks.giveBack(0);
    assertThat(pool.freed).containsExactly(one + " in " + ONE);
    blocks.end(OTHER);
    assertThat(pool.freed).containsExactly(one + " in " + ONE, other + " in " + OTHER);
    assertThat(blocks.allocate(512, ONE)).isNotEqualTo(one);
  }

  @Test
  void aBlockThatThereIsNoRoomForIsNotKept() {
    pool.full = true;
    assertThat(blocks.allocate(512, ONE)).isZero();
    pool.full = false;
    assertThat(blocks.allocate(512, ONE)).isNotZero();
  }

  /** Of a large device a stream keeps blocks of 32 MiB. */
  @Test
  void largeDevicesKeepLargeBlocks() {
    long large = blocks.allocate(4 * LARGEST, OTHER);
    blocks.free(large, OTHER);
    assertThat(blocks.allocate(4 * LARGEST, OTHER)).isEqualTo(large);
    blocks.free(blocks.allocate(4 * LARGEST + 1, OTHER), OTHER);
    assertThat(pool.freed).hasSize(1);
  }
}
