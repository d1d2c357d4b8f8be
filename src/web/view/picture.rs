//! The picture: a plain perspective drawing, in the dark, as an SVG of a few kilobytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::hall::{Eye, Hall, Point, corners};
use crate::catalog::{Class, Listing};

/// The picture's size, and where the stage's middle is in it, in units of its own.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 210.0;
const LEVEL_Y: f64 = 88.0;
/// How wide one sees, in degrees: about what one takes in without turning the head.
const WIDE_DEGREES: f64 = 62.0;
/// Nothing nearer than this is drawn, in metres.
const NEAR_M: f64 = 0.7;
/// People are drawn one by one as far as this, in metres, and so many at most.
const PEOPLE_TO_M: f64 = 16.0;
const MAX_PEOPLE: usize = 260;
/// So far apart are people drawn with one width of the pen, in metres.
const BAND_M: f64 = 0.45;
/// Half widths and height of who sits in front, in metres.
const HEAD_M: f64 = 0.105;
const SHOULDERS_M: f64 = 0.2;
const SITTING_M: f64 = 1.0;
/// The stage: its height, how far it reaches before and behind its focus, its back wall.
const STAGE_M: f64 = 1.0;
const BEFORE_M: f64 = 2.2;
const BEHIND_M: f64 = 4.5;
const WALL_PART: f64 = 0.62;
/// Where the players stand on the stage: parts of its half width, and metres behind its focus.
const PLAYERS: [(f64, f64); 5] = [(0.0, 0.6), (-0.32, 1.2), (0.34, 1.0), (-0.62, 2.6), (0.64, 2.4)];
const PLAYER_M: f64 = 1.75;
/// Lamps above the stage, as parts of its half width, and what each lights.
const BEAMS: [(f64, f64); 4] = [(-0.75, -0.3), (-0.25, 0.12), (0.25, -0.12), (0.75, 0.3)];

/// Looks from an eye to the focus.
struct Camera {
    eye: Point,
    ahead: Point,
    aside: Point,
    height_m: f64,
    /// Units per metre at a metre's distance.
    zoom: f64,
    /// The horizon.
    level_y: f64,
}

impl Camera {
    fn new(hall: &Hall, eye: &Eye) -> Self {
        let (dx, dy) = (hall.focus.0 - eye.at.0, hall.focus.1 - eye.at.1);
        let ahead = (dx / eye.distance_m, dy / eye.distance_m);
        let zoom = WIDTH / 2.0 / (WIDE_DEGREES / 2.0).to_radians().tan();
        // The look is level with what happens on the stage.
        let middle_m = if hall.field.is_some() { 0.5 } else { STAGE_M + PLAYER_M / 2.0 };
        let drop = zoom * (eye.height_m - middle_m) / eye.distance_m;
        let aside = (-ahead.1, ahead.0);
        Self { eye: eye.at, ahead, aside, height_m: eye.height_m, zoom, level_y: LEVEL_Y - drop }
    }

    /// How far to the right and ahead a point is, in metres.
    fn turned(&self, point: Point) -> (f64, f64) {
        let (dx, dy) = (point.0 - self.eye.0, point.1 - self.eye.1);
        (dx * self.aside.0 + dy * self.aside.1, dx * self.ahead.0 + dy * self.ahead.1)
    }

    fn place(&self, (right, ahead): (f64, f64), height_m: f64) -> (f64, f64) {
        let x = WIDTH / 2.0 + self.zoom * right / ahead;
        (x, self.level_y - self.zoom * (height_m - self.height_m) / ahead)
    }

    /// A polygon of points with heights, without what is behind the eye.
    fn polygon(&self, points: &[(Point, f64)]) -> String {
        let turned: Vec<((f64, f64), f64)> =
            points.iter().map(|(point, height)| (self.turned(*point), *height)).collect();
        let mut path = String::new();
        let mut push = |at: (f64, f64), height: f64| {
            let (x, y) = self.place(at, height);
            let letter = if path.is_empty() { 'M' } else { 'L' };
            // Far beside the picture one place is as good as another.
            let (x, y) = (x.clamp(-4000.0, 4000.0), y.clamp(-4000.0, 4000.0));
            let _ = write!(path, "{letter}{x:.1} {y:.1}");
        };
        for (i, (to, to_m)) in turned.iter().enumerate() {
            let (from, from_m) = turned[(i + turned.len() - 1) % turned.len()];
            if (from.1 < NEAR_M) != (to.1 < NEAR_M) {
                let part = (NEAR_M - from.1) / (to.1 - from.1);
                let right = from.0 + (to.0 - from.0) * part;
                push((right, NEAR_M), from_m + (to_m - from_m) * part);
            }
            if to.1 >= NEAR_M {
                push(*to, *to_m);
            }
        }
        if path.is_empty() { path } else { path + "Z" }
    }
}

/// Draws what an eye sees.
#[must_use]
pub fn draw(listing: &Listing, hall: &Hall, eye: &Eye) -> String {
    let camera = Camera::new(hall, eye);
    // Elements of several pictures may meet in one page.
    let id = format!("v{}", eye.place);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         aria-hidden=\"true\"><defs><linearGradient id=\"{id}\" x2=\"0\" y2=\"1\"><stop \
         stop-color=\"#17131c\"/><stop offset=\".5\" stop-color=\"#2b2330\"/><stop offset=\"1\" \
         stop-color=\"#120f15\"/></linearGradient><linearGradient id=\"{id}b\" x2=\"0\" \
         y2=\"1\"><stop stop-color=\"#ffe9b8\" stop-opacity=\".5\"/><stop offset=\"1\" \
         stop-color=\"#ffe9b8\" stop-opacity=\".04\"/></linearGradient></defs>\
         <path fill=\"url(#{id})\" d=\"M0 0H{WIDTH}V{HEIGHT}H0Z\"/>"
    );
    let far = sections(&mut svg, listing, hall, &camera, eye, true);
    match &hall.field {
        Some(field) => draw_field(&mut svg, field, &camera),
        None => draw_stage(&mut svg, hall, &camera, &id),
    }
    if far {
        sections(&mut svg, listing, hall, &camera, eye, false);
    }
    people(&mut svg, listing, hall, &camera, eye);
    svg.push_str("</svg>");
    svg
}

/// Parts of the hall as shapes on their floor, the farthest first: those behind the stage, or those
/// before it. Whether there may be some before it.
fn sections(
    svg: &mut String,
    listing: &Listing,
    hall: &Hall,
    camera: &Camera,
    eye: &Eye,
    behind: bool,
) -> bool {
    let mut shapes = Vec::new();
    for section in &listing.sections {
        let corners = corners(section);
        let n = corners.len().max(1) as f64;
        let ahead = corners.iter().map(|corner| camera.turned(*corner).1).sum::<f64>() / n;
        let beyond = ahead > eye.distance_m;
        if corners.len() < 3 || beyond != behind {
            continue;
        }
        let height = |corner: &Point| if section.area { 0.0 } else { hall.floor_m(*corner) };
        let points: Vec<(Point, f64)> = corners.iter().map(|c| (*c, height(c))).collect();
        let path = camera.polygon(&points);
        if !path.is_empty() {
            shapes.push((ahead, path));
        }
    }
    shapes.sort_by(|a, b| b.0.total_cmp(&a.0));
    if shapes.is_empty() {
        return !behind || !listing.sections.is_empty();
    }
    let fill = if behind { "#2e2734" } else { "#241e2a" };
    let _ = write!(svg, "<g fill=\"{fill}\" stroke=\"#4a4052\" stroke-width=\".7\">");
    for (_, path) in shapes {
        let _ = write!(svg, "<path d=\"{path}\"/>");
    }
    svg.push_str("</g>");
    true
}

fn draw_field(svg: &mut String, field: &[Point], camera: &Camera) {
    let points: Vec<(Point, f64)> = field.iter().map(|point| (*point, 0.0)).collect();
    let (n, x, y) = field.iter().fold((0.0, 0.0, 0.0), |(n, x, y), p| (n + 1.0, x + p.0, y + p.1));
    let inner = |part: f64| -> Vec<(Point, f64)> {
        let centre = (x / n, y / n);
        let nearer =
            |p: &Point| (centre.0 + (p.0 - centre.0) * part, centre.1 + (p.1 - centre.1) * part);
        field.iter().map(|point| (nearer(point), 0.0)).collect()
    };
    let _ = write!(
        svg,
        "<path fill=\"#3f7a58\" stroke=\"#cfe8d6\" stroke-width=\"1\" d=\"{}\"/>\
         <path fill=\"#4a8a65\" d=\"{}\"/><path fill=\"none\" stroke=\"#cfe8d6\" \
         stroke-width=\".8\" d=\"{}\"/>",
        camera.polygon(&points),
        camera.polygon(&inner(0.8)),
        camera.polygon(&inner(0.2)),
    );
}

/// The stage with its back wall, its lamps, and players as a measure of its size.
fn draw_stage(svg: &mut String, hall: &Hall, camera: &Camera, id: &str) {
    let along = (-hall.facing.1, hall.facing.0);
    let point = |part: f64, before_m: f64| {
        let wide = part * hall.half_m;
        let (x, y) = (along.0 * wide, along.1 * wide);
        (hall.focus.0 + x + hall.facing.0 * before_m, hall.focus.1 + y + hall.facing.1 * before_m)
    };
    let wall_m = STAGE_M + (hall.half_m * WALL_PART).clamp(3.5, 9.0);
    let quad = |a: (Point, f64), b: (Point, f64), c: (Point, f64), d: (Point, f64)| {
        camera.polygon(&[a, b, c, d])
    };
    let (front_l, front_r) = (point(-1.0, BEFORE_M), point(1.0, BEFORE_M));
    let (back_l, back_r) = (point(-1.0, -BEHIND_M), point(1.0, -BEHIND_M));
    let wall = quad((back_l, STAGE_M), (back_r, STAGE_M), (back_r, wall_m), (back_l, wall_m));
    let floor = quad((front_l, STAGE_M), (front_r, STAGE_M), (back_r, STAGE_M), (back_l, STAGE_M));
    let front = quad((front_l, 0.0), (front_r, 0.0), (front_r, STAGE_M), (front_l, STAGE_M));
    // From behind the wall stands before everything.
    let (eye_x, eye_y) = (camera.eye.0 - hall.focus.0, camera.eye.1 - hall.focus.1);
    let behind = eye_x * hall.facing.0 + eye_y * hall.facing.1 < -BEHIND_M;
    if !behind {
        let _ = write!(svg, "<path fill=\"#6b3140\" d=\"{wall}\"/>");
    }
    for side in [-1.0, 1.0] {
        let (a, b) = (point(side, -BEHIND_M), point(side, BEFORE_M));
        let path = quad((a, 0.0), (b, 0.0), (b, STAGE_M), (a, STAGE_M));
        let _ = write!(svg, "<path fill=\"#3a2a22\" d=\"{path}\"/>");
    }
    let _ =
        write!(svg, "<path fill=\"#d9a566\" d=\"{floor}\"/><path fill=\"#4d362a\" d=\"{front}\"/>");
    for (lamp, lit) in BEAMS {
        let lamp = (point(lamp, -BEHIND_M + 1.0), wall_m);
        let (a, b) = ((point(lit - 0.22, 0.0), STAGE_M), (point(lit + 0.22, 0.0), STAGE_M));
        let path = camera.polygon(&[lamp, a, b]);
        let _ = write!(svg, "<path fill=\"url(#{id}b)\" d=\"{path}\"/>");
    }
    players(svg, camera, &point);
    if behind {
        let _ = write!(svg, "<path fill=\"#2a1d25\" fill-opacity=\".8\" d=\"{wall}\"/>");
    }
}

fn players(svg: &mut String, camera: &Camera, point: &impl Fn(f64, f64) -> Point) {
    let mut all: Vec<(f64, f64)> =
        PLAYERS.iter().map(|(part, back)| camera.turned(point(*part, -back))).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    for at in all.into_iter().filter(|at| at.1 > NEAR_M) {
        let unit = camera.zoom / at.1;
        let (x, feet) = camera.place(at, STAGE_M);
        let hip = feet - 0.85 * unit;
        let neck = feet - 1.45 * unit;
        let _ = write!(
            svg,
            "<path stroke=\"#1b1216\" stroke-linecap=\"round\" fill=\"none\" stroke-width=\"{:.1}\" \
             d=\"M{:.1} {feet:.1}L{x:.1} {hip:.1}L{:.1} {feet:.1}M{x:.1} {hip:.1}V{neck:.1}\"/>\
             <circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"{:.1}\" fill=\"#1b1216\"/>",
            (0.24 * unit).max(0.6),
            x - 0.16 * unit,
            x + 0.16 * unit,
            feet - (PLAYER_M - 0.13) * unit,
            (0.14 * unit).max(0.5),
        );
    }
}

/// Who sits in front, the farthest first. Heads and shoulders are dots and strokes of a round pen:
/// a few bytes each.
fn people(svg: &mut String, listing: &Listing, hall: &Hall, camera: &Camera, eye: &Eye) {
    let mut seen: Vec<(f64, f64, f64)> = Vec::new();
    for place in &listing.places {
        let at = (f64::from(place.x), f64::from(place.y));
        let (dx, dy) = (at.0 - eye.at.0, at.1 - eye.at.1);
        if dx.abs() > PEOPLE_TO_M || dy.abs() > PEOPLE_TO_M {
            continue;
        }
        let (right, ahead) = camera.turned(at);
        let within = ahead > NEAR_M && ahead < PEOPLE_TO_M && right.abs() < ahead * 0.7 + 0.5;
        let area = || listing.stretch(place.stretch).is_none_or(|s| s.class == Class::Area);
        if within && !area() {
            seen.push((ahead, right, hall.floor_m(at)));
        }
    }
    seen.sort_by(|a, b| a.0.total_cmp(&b.0));
    seen.truncate(MAX_PEOPLE);
    let mut bands: BTreeMap<i32, Vec<(f64, f64, f64)>> = BTreeMap::new();
    for one in seen {
        bands.entry((one.0 / BAND_M) as i32).or_default().push(one);
    }
    svg.push_str("<g fill=\"none\" stroke-linecap=\"round\">");
    for (band, people) in bands.into_iter().rev() {
        let unit = camera.zoom / ((f64::from(band) + 0.5) * BAND_M);
        let (mut heads, mut shoulders) = (String::new(), String::new());
        for (ahead, right, floor_m) in people {
            let (x, y) = camera.place((right, ahead), floor_m + SITTING_M);
            let _ = write!(heads, "M{x:.0} {y:.0}h0");
            let (left, low) = (x - (SHOULDERS_M - 0.1) * unit, y + 0.36 * unit);
            let _ =
                write!(shoulders, "M{left:.0} {low:.0}h{:.0}", (SHOULDERS_M - 0.1) * 2.0 * unit);
        }
        // Who is nearer is darker: the light is on the stage.
        let shade = (f64::from(band) * BAND_M / PEOPLE_TO_M * 34.0) as u8;
        let color = format!("#{:02x}{:02x}{:02x}", 14 + shade, 11 + shade, 17 + shade);
        let _ = write!(
            svg,
            "<path stroke=\"{color}\" stroke-width=\"{:.1}\" d=\"{shoulders}\"/><path \
             stroke=\"{color}\" stroke-width=\"{:.1}\" d=\"{heads}\"/>",
            0.4 * unit,
            2.0 * HEAD_M * unit,
        );
    }
    svg.push_str("</g>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera() -> Camera {
        Camera {
            eye: (0.0, 10.0),
            ahead: (0.0, -1.0),
            aside: (1.0, 0.0),
            height_m: 2.0,
            zoom: 300.0,
            level_y: 90.0,
        }
    }

    #[test]
    fn what_is_twice_as_far_is_half_as_large_and_right_is_right() {
        let camera = camera();
        let near = camera.place(camera.turned((1.0, 0.0)), 2.0);
        let far = camera.place(camera.turned((1.0, -10.0)), 2.0);
        assert_eq!((near, far), ((WIDTH / 2.0 + 30.0, 90.0), (WIDTH / 2.0 + 15.0, 90.0)));
        let floor = camera.place(camera.turned((0.0, 0.0)), 0.0);
        assert_eq!(floor, (WIDTH / 2.0, 150.0));
    }

    #[test]
    fn what_is_behind_the_eye_is_not_drawn() {
        let camera = camera();
        let square = |y: f64| [((-1.0, y), 0.0), ((1.0, y), 0.0), ((1.0, y + 4.0), 0.0)];
        assert_eq!(camera.polygon(&square(20.0)), "");
        assert!(camera.polygon(&square(0.0)).starts_with('M'));
        // One corner of three is behind: two new ones take its place.
        let cut = camera.polygon(&square(7.0));
        assert_eq!(cut.matches(['M', 'L']).count(), 4, "{cut}");
    }
}
