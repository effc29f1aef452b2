// The one table that families of ops make, for a row of each op. An op is in one family: where every op is wanted, one that is in none
// does not compile, and one that is in two throws here, since the later row would hide the other.

type Together<Families extends object[]> = Families extends [infer First, ...infer Rest extends object[]]
  ? First & Together<Rest>
  : unknown

export function together<Families extends object[]>(...families: Families): Together<Families> {
  const rows = families.flatMap((family) => Object.entries(family))
  const twice = rows.find(([op], i) => rows.findIndex(([name]) => name === op) < i)
  if (twice) throw new Error(`${twice[0]} is in two families.`)
  return Object.fromEntries(rows) as Together<Families>
}
