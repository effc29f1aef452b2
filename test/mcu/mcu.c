/* A bare-metal host for one module on an emulated Cortex-M: no operating system, no C library but memcpy and memset.
   Samples come from the file "inputs", results go to "outputs", both by semihosting, so that no sample counts as flash or RAM; at the end
   "measured" gets what follows as 32-bit numbers. Of a module that learns, a 32-bit number follows each sample: its class, from which it
   learns, or -1 to run only; what it has learned in the end goes to "parameters". Time is counted by the board's timer: under qemu -icount it is instructions. */

#include "net.h"
#include "ports.h"

#define OPEN 1
#define WRITE 5
#define READ 6
#define EXIT 0x18

#ifndef KERNELS
#define KERNELS 0
#endif

static struct {
  uint32_t samples;
  /* 0, or a wasm_rt_trap_t; 100: a processor fault; 101: run() failed; 102: __heap_base is not RAM_BYTES; 103: self_test() failed;
     104: train_step() gave a loss that is not finite. */
  uint32_t failure;
  uint32_t stack;
  /* Of the timer, during the last run. */
  uint32_t ticks;
  /* The same of the last step of training. */
  uint32_t step;
  uint32_t kernels[KERNELS + 1];
} measured;

static Z_net_instance_t net;

/* Set by the linker script. */
extern uint32_t data_from[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];
#define PAINT 0xa5a5a5a5u

static int semihosting(int operation, const void* arguments) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static int open_file(const char* name, int length, int mode) {
  const uint32_t arguments[3] = {(uint32_t)name, mode, length};
  return semihosting(OPEN, arguments);
}

/* Returns how many bytes were not read or written. */
static int transfer(int operation, int file, const void* bytes, uint32_t length) {
  const uint32_t arguments[3] = {file, (uint32_t)bytes, length};
  return semihosting(operation, arguments);
}

static void finish(int failure) __attribute__((noreturn));
static void finish(int failure) {
  const uint32_t* used = bss_end;
  while (*used == PAINT) used++;
  measured.stack = (uint32_t)stack_top - (uint32_t)used;
  measured.failure = failure;
  transfer(WRITE, open_file("measured", 8, 5), &measured, sizeof measured);
  semihosting(EXIT, (const void*)(failure ? 0x20023 : 0x20026));
  for (;;) {}
}

void trapped(int reason) __attribute__((noreturn));
void trapped(int reason) { finish(reason); }

#define REGISTER(address) (*(volatile uint32_t*)(address))
#ifdef TIMER_NRF51
static void start_timer(void) {
  REGISTER(0x40008508) = 3; /* 32 bits */
  REGISTER(0x40008510) = 0; /* 16 MHz */
  REGISTER(0x40008000) = 1;
}
static uint32_t now(void) {
  REGISTER(0x40008040) = 1;
  return REGISTER(0x40008540);
}
#else /* CMSDK APB timer, 25 MHz, counting down */
static void start_timer(void) {
  REGISTER(0x40000008) = 0xffffffffu;
  REGISTER(0x40000004) = 0xffffffffu;
  REGISTER(0x40000000) = 1;
}
static uint32_t now(void) { return ~REGISTER(0x40000004); }
#endif

#if KERNELS
/* wasm2c's code is made to say when it enters function `kernel` and when it is back in run(), whose number is KERNELS. */
static uint32_t since;
static uint32_t running = KERNELS;
void enter(uint32_t kernel) __attribute__((noinline));
void enter(uint32_t kernel) {
  const uint32_t time = now();
  measured.kernels[running] += time - since;
  running = kernel;
  since = now();
}
#endif

#define EACH(name) || transfer(READ, inputs, memory + *Z_netZ_##name(&net), *Z_netZ_##name##_bytes(&net))
#define STORE(name) transfer(WRITE, outputs, memory + *Z_netZ_##name(&net), *Z_netZ_##name##_bytes(&net));

#ifdef HAS_TRAIN_STEP
#define LABEL || transfer(READ, inputs, &label, sizeof label)
#else
#define LABEL
#endif

static void host(void) __attribute__((noreturn));
static void host(void) {
  Z_net_init_module();
  Z_net_instantiate(&net);
  if (*Z_netZ___heap_base(&net) != RAM_BYTES) finish(102);
#ifdef HAS_SELF_TEST
  if (Z_netZ_self_test(&net)) finish(103);
#endif
  uint8_t* const memory = Z_netZ_memory(&net)->data;
  const int inputs = open_file("inputs", 6, 1);
  const int outputs = open_file("outputs", 7, 5);
  int32_t label = -1;
  start_timer();
  while (!(0 INPUTS(EACH) LABEL)) {
#if KERNELS
    for (int i = 0; i <= KERNELS; i++) measured.kernels[i] = 0;
    since = now();
#endif
    const uint32_t start = now();
#ifdef HAS_TRAIN_STEP
    if (label >= 0) {
      const float loss = Z_netZ_train_step(&net, label);
      measured.step = now() - start;
      if (loss - loss != 0) finish(104);
    } else
#endif
    {
      const uint32_t status = Z_netZ_run(&net);
      measured.ticks = now() - start;
      if (status) finish(101);
    }
    OUTPUTS(STORE)
    measured.samples++;
  }
#ifdef HAS_TRAIN_STEP
  transfer(WRITE, open_file("parameters", 10, 5), memory + *Z_netZ_parameters(&net), *Z_netZ_parameters_bytes(&net));
#endif
  finish(0);
}

void reset(void) __attribute__((noreturn));
void reset(void) {
  const uint32_t* from = data_from;
  for (uint32_t* to = data_begin; to < data_end;) *to++ = *from++;
  for (uint32_t* to = bss_begin; to < bss_end;) *to++ = 0;
  uint32_t* const frame = __builtin_frame_address(0);
  for (uint32_t* to = bss_end; to < frame - 16;) *to++ = PAINT;
#ifdef __ARM_FP
  REGISTER(0xe000ed88) |= 0xf << 20; /* the floating-point unit is off after a reset */
  __asm__ volatile("dsb\n isb");
#endif
  host();
}

static void fault(void) { finish(100); }

__attribute__((section(".vectors"), used)) static void* const vectors[16] = {
    stack_top, reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault,
};
