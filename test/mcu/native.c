/* A host on this machine, for many inputs at full speed with the same exact bound of memory.
     native                    samples from the file "inputs", results to "outputs"
     native RUNS SEED          random bytes for every input; the last line is a hash of all outputs
   A trap names the run, and leaves its inputs in the file "inputs.trap". */

#include <stdio.h>
#include <stdlib.h>

#include "net.h"
#include "ports.h"

static Z_net_instance_t net;
static unsigned long run;
static uint8_t kept[INPUT_BYTES];

void trapped(int reason) {
  FILE* const f = fopen("inputs.trap", "wb");
  if (f && fwrite(kept, 1, INPUT_BYTES, f) == INPUT_BYTES) fclose(f);
  fprintf(stderr, "run %lu: trap %d\n", run, reason);
  exit(3);
}

static uint32_t state;
static uint32_t draw(void) {
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

/* Bytes of one kind each time: any; any of two; one only; mostly the largest and smallest. */
static void fill(uint8_t* to, uint32_t length) {
  static const uint8_t ends[4] = {0x80, 0x7f, 0xff, 0x00};
  const uint32_t kind = draw() & 7, a = draw(), b = draw();
  for (uint32_t i = 0; i < length; i++) {
    const uint32_t r = draw() >> 8;
    to[i] = kind < 4 ? r : kind == 4 ? (r & 1 ? a : b) : kind == 5 ? a : r & 64 ? ends[r & 3] : r >> 8;
  }
}

#define HOLD(name)                                                                     \
  memcpy(at, memory + *Z_netZ_##name(&net), *Z_netZ_##name##_bytes(&net)); \
  at += *Z_netZ_##name##_bytes(&net);
#define READ(name) &&fread(memory + *Z_netZ_##name(&net), 1, *Z_netZ_##name##_bytes(&net), in) == *Z_netZ_##name##_bytes(&net)
#define FILL(name) fill(memory + *Z_netZ_##name(&net), *Z_netZ_##name##_bytes(&net));
#define WRITE(name) fwrite(memory + *Z_netZ_##name(&net), 1, *Z_netZ_##name##_bytes(&net), out);
#define HASH(name) \
  for (uint32_t i = 0; i < *Z_netZ_##name##_bytes(&net); i++) hash = (hash ^ memory[*Z_netZ_##name(&net) + i]) * 0x100000001b3u;

static void start(uint8_t* memory) {
  uint8_t* at = kept;
  INPUTS(HOLD)
  if (Z_netZ_run(&net)) {
    fprintf(stderr, "run %lu: it failed\n", run);
    exit(4);
  }
  run++;
}

int main(int count, char** words) {
  Z_net_init_module();
  Z_net_instantiate(&net);
#ifdef HAS_SELF_TEST
  if (Z_netZ_self_test(&net)) {
    fputs("self_test() failed\n", stderr);
    return 5;
  }
#endif
  uint8_t* const memory = Z_netZ_memory(&net)->data;
  if (count > 2) {
    uint64_t hash = 0xcbf29ce484222325u;
    const unsigned long runs = strtoul(words[1], 0, 10);
    state = strtoul(words[2], 0, 10) * 2654435761u | 1;
    while (run < runs) {
      INPUTS(FILL)
      start(memory);
      OUTPUTS(HASH)
    }
    printf("%016llx\n", (unsigned long long)hash);
  } else {
    FILE* const in = fopen("inputs", "rb");
    FILE* const out = fopen("outputs", "wb");
    while (in && out INPUTS(READ)) {
      start(memory);
      OUTPUTS(WRITE)
    }
    fclose(out);
  }
  return 0;
}
