// Reads a profile with pprof-format, and prints its values and stacks as JSON.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import zlib from 'node:zlib';

const [folder, file] = process.argv.slice(2);
const { Profile } = createRequire(path.join(folder, 'here.js'))('pprof-format');
const profile = Profile.decode(zlib.gunzipSync(fs.readFileSync(file)));
const text = number => profile.stringTable.strings[Number(number)];
const byId = list => new Map(list.map(one => [Number(one.id), one]));
const [locations, functions] = [byId(profile.location), byId(profile.function)];
const samples = profile.sample.map(sample => ({
  values: sample.value.map(Number),
  labels: Object.fromEntries(sample.label.map(label => [text(label.key), text(label.str) || Number(label.num)])),
  stack: sample.locationId.map(id => {
    const line = locations.get(Number(id)).line[0];
    const of = functions.get(Number(line.functionId));
    return [text(of.name), text(of.filename), Number(line.line)];
  }),
}));
console.log(JSON.stringify({ types: profile.sampleType.map(type => text(type.type)), samples }));
