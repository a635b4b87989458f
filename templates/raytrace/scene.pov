// Three balls that hop around a mirror. `clock` runs from 0 to 1 over the animation.
#version 3.7;
global_settings { assumed_gamma 1.0 max_trace_level 6 }
background { color rgb <0.80, 0.87, 0.95> }
#declare Turn = 0.5 * sin(2 * pi * clock);
camera {
  location <5.2 * sin(Turn), 2.3, -5.2 * cos(Turn)>
  look_at <0, 0.7, 0>
  angle 62
  right x * image_width / image_height
}
light_source { <-9, 15.6, -8.6> color rgb 1.1 }
light_source { <4, 6, -10> color rgb 0.2 shadowless }
plane {
  y, 0
  pigment { checker color rgb <0.86, 0.86, 0.83> color rgb <0.28, 0.31, 0.33> }
  finish { diffuse 0.8 ambient 0.1 reflection 0.06 }
}
fog { fog_type 1 distance 45 color rgb <0.86, 0.90, 0.94> }
#macro Ball(Where, Size, Colour, Mirror)
  sphere {
    Where, Size
    pigment { color rgb Colour }
    finish { diffuse 0.75 ambient 0.12 phong 0.6 phong_size 60 reflection Mirror }
  }
#end
Ball(<0, 0.9, 0>, 0.9, <0.88, 0.90, 0.92>, 0.65)
#declare Colours = array[3] { <0.90, 0.32, 0.22>, <0.95, 0.75, 0.20>, <0.15, 0.60, 0.70> }
#for (N, 0, 2)
  #declare Angle = 2 * pi * (clock + N / 3);
  #declare Hop = abs(sin(2 * pi * (2 * clock + N / 3)));
  Ball(<1.9 * cos(Angle), 0.45 + 0.8 * Hop, 1.9 * sin(Angle)>, 0.45, Colours[N], 0.15)
#end
