#include "slots.h"

#include <string.h>

static const uint32_t MARK = 0x4c4e5544u; /* "DUNL" */

struct record {
  uint32_t mark, sequence, length;
  /* Hash of the three before: a record that was half written is none. */
  uint32_t check;
};

static int read_record(const struct flash *flash, int slot, struct record *record) {
  memcpy(record, flash->slot[slot], sizeof *record);
  return record->mark == MARK && record->length <= flash->slot_bytes - RECORD_BYTES &&
         record->check == module_hash((const uint8_t *)record, 12);
}

/* Opens what lies in a slot and has it test itself. */
static enum module_status try_slot(const struct flash *flash, struct running *running, int slot, uint32_t length) {
  enum module_status status = module_open(&running->module, flash->slot[slot] + RECORD_BYTES, length);
  running->slot = -1;
  if (status != MODULE_OK) return status;
  status = module_self_test(&running->module);
  if (status != MODULE_OK) {
    module_close(&running->module);
    return status;
  }
  running->slot = slot;
  return MODULE_OK;
}

enum module_status slots_boot(const struct flash *flash, struct running *running) {
  struct record record[SLOTS];
  enum module_status first = MODULE_NONE, status;
  int known[SLOTS], slot, i;
  memset(running, 0, sizeof *running);
  running->slot = -1;
  for (slot = 0; slot < SLOTS; slot++) known[slot] = read_record(flash, slot, &record[slot]);
  /* Sequence numbers wrap around: the newer of two is the one less than half the circle ahead. */
  slot = known[0] && known[1] ? (int32_t)(record[1].sequence - record[0].sequence) > 0 : known[1];
  for (i = 0; i < SLOTS; i++, slot = 1 - slot) {
    if (!known[slot]) continue;
    status = try_slot(flash, running, slot, record[slot].length);
    if (status == MODULE_OK) {
      running->sequence = record[slot].sequence;
      return MODULE_OK;
    }
    if (first == MODULE_NONE) first = status;
  }
  return first;
}

static enum module_status receive(const struct flash *flash, int slot, uint32_t length, source_fn source, void *from) {
  uint8_t block[256];
  uint32_t at = 0;
  if (length > flash->slot_bytes - RECORD_BYTES || !flash->erase(slot)) return MODULE_NO_SPACE;
  while (at < length) {
    const uint32_t most = length - at < sizeof block ? length - at : (uint32_t)sizeof block;
    const int got = source(from, block, most);
    if (got <= 0 || (uint32_t)got > most) return MODULE_NOT_ONE;
    if (!flash->write(slot, RECORD_BYTES + at, block, (uint32_t)got)) return MODULE_NO_SPACE;
    at += (uint32_t)got;
  }
  /* What is in the flash, not what came in. */
  return module_check(flash->slot[slot] + RECORD_BYTES, length);
}

enum module_status slots_update(const struct flash *flash, struct running *running, uint32_t length, source_fn source, void *from,
                                uint32_t input_bytes, uint32_t output_bytes) {
  const int old = running->slot, slot = old == 0;
  struct record record = {0, 0, 0, 0};
  enum module_status status = receive(flash, slot, length, source, from);
  if (status != MODULE_OK) return status;
  record.mark = MARK;
  record.sequence = running->sequence + 1;
  record.length = length;
  record.check = module_hash((const uint8_t *)&record, 12);
  module_close(&running->module);
  status = try_slot(flash, running, slot, length);
  if (status == MODULE_OK && ((input_bytes && running->module.input_bytes != input_bytes) ||
                              (output_bytes && running->module.output_bytes != output_bytes)))
    status = MODULE_WRONG_SIZE;
  if (status == MODULE_OK && !flash->write(slot, 0, (const uint8_t *)&record, sizeof record)) status = MODULE_NO_SPACE;
  if (status == MODULE_OK) {
    running->sequence = record.sequence;
    return MODULE_OK;
  }
  if (running->slot >= 0) module_close(&running->module);
  running->slot = -1;
  if (old >= 0) {
    struct record before;
    if (read_record(flash, old, &before)) (void)try_slot(flash, running, old, before.length);
  }
  return status;
}
