import { useMemo, useState } from 'preact/hooks';
import { api } from '../../core/api.ts';
import { asProblem, Problem } from '../../core/problem.ts';
import type { Address, AddressFields } from '../../core/types.ts';
import { Button } from '../button.tsx';
import { Field, Select } from '../field.tsx';
import { config, me } from '../session.ts';
import { ProblemNote } from '../status.tsx';

// ISO 3166-1 codes; their names come from the browser in the reader's language.
const COUNTRIES =
  'AD AE AR AT AU BE BG BR CA CH CL CN CO CR CY CZ DE DK EE ES FI FR GB GI GR HK HR HU ID IE IL IN IS IT JP KE KR LI LT LU LV MA MC MT MX MY NG NL NO NZ PE PH PL PT RO RS SA SE SG SI SK SM TH TR TW UA US UY VA VN ZA'.split(
    ' ',
  );

export function countryName(code: string): string {
  try {
    return new Intl.DisplayNames(undefined, { type: 'region' }).of(code) ?? code;
  } catch {
    return code;
  }
}

/** To choose from, by name; `chosen` is among them whatever it is. */
export function countriesWith(chosen: string): { value: string; label: string }[] {
  const codes = COUNTRIES.includes(chosen) ? COUNTRIES : [...COUNTRIES, chosen];
  return codes.map((value) => ({ value, label: countryName(value) })).sort((a, b) => a.label.localeCompare(b.label));
}

/** "12 Rue Haute, 1000 Brussels" */
export function addressLine(address: AddressFields): string {
  return [address.line1, address.line2, [address.postal_code, address.city].filter(Boolean).join(' ')]
    .filter(Boolean)
    .join(', ');
}

/** What is missing, said before anything is sent. */
function faults(fields: AddressFields): Record<string, string> | null {
  const needed = { name: 'Enter a name.', line1: 'Enter street and number.', postal_code: 'Enter the postal code.', city: 'Enter the city.' };
  const found = Object.entries(needed).filter(([name]) => !fields[name as keyof typeof needed]?.trim());
  return found.length ? Object.fromEntries(found) : null;
}

export function AddressForm(props: { address?: Address; onDone: (address: Address) => void; submit?: string }) {
  const { address, onDone, submit: label = 'Save address' } = props;
  const [fields, setFields] = useState<AddressFields>(
    address ?? {
      name: me.value?.display_name ?? '',
      line1: '',
      line2: '',
      city: '',
      region: '',
      postal_code: '',
      country: config.value?.shop.country ?? 'US',
      phone: '',
    },
  );
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const countries = useMemo(() => countriesWith(fields.country), []);

  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    const missing = faults(fields);
    if (missing) return setProblem(new Problem({ code: 'incomplete', fields: missing }));
    setBusy(true);
    setProblem(null);
    try {
      const { name, line1, line2, city, region, postal_code, country, phone } = fields;
      const sent = { name, line1, line2, city, region, postal_code, country, phone };
      onDone(address ? await api.updateAddress(address.id, sent) : await api.addAddress(sent));
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };

  const field = (
    name: keyof AddressFields,
    title: string,
    autocomplete: string,
    more: { optional?: boolean; type?: 'tel'; inputmode?: 'tel' } = {},
  ) => (
    <Field
      label={title}
      name={name}
      value={fields[name] ?? ''}
      onValue={(value) => setFields((before) => ({ ...before, [name]: value }))}
      autocomplete={autocomplete}
      maxLength={120}
      required={!more.optional}
      problem={problem?.fields[name]}
      testid={`address-${name}`}
      {...more}
    />
  );

  const loose = problem && Object.keys(problem.fields).length === 0 ? problem : null;
  return (
    <form class="form" onSubmit={submit} data-testid="address-form" noValidate>
      <ProblemNote problem={loose} />
      {field('name', 'Full name', 'name')}
      {field('line1', 'Street and number', 'address-line1')}
      {field('line2', 'Apartment, floor', 'address-line2', { optional: true })}
      <div class="pair">
        {field('postal_code', 'Postal code', 'postal-code')}
        {field('city', 'City', 'address-level2')}
        {field('region', 'State or region', 'address-level1', { optional: true })}
        <Select
          label="Country"
          name="country"
          value={fields.country}
          onValue={(country) => setFields((before) => ({ ...before, country }))}
          options={countries}
          autocomplete="country"
          problem={problem?.fields['country']}
          testid="address-country"
        />
      </div>
      {field('phone', 'Phone', 'tel', { optional: true, type: 'tel', inputmode: 'tel' })}
      <Button type="submit" kind="primary" size="l" wide busy={busy} testid="save-address">
        {label}
      </Button>
    </form>
  );
}
